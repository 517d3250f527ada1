# SPDX-License-Identifier: MIT
"""freeze.py SOURCE: the module as an initializer of an array in C, compiled by
the Python that runs this."""
import marshal
import sys

source = open(sys.argv[1], "rb").read()
code = compile(source, "<frozen fcgi_host>", "exec", dont_inherit=True,
               optimize=0)
data = marshal.dumps(code)
for start in range(0, len(data), 16):
    print("".join(f"'\\x{byte:02x}'," for byte in data[start:start + 16]))
