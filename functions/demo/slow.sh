#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs into limits.time: nothing is written, so the answer is a 504 that names
# the limit. The kernel's alarm ends it, as nothing here asks for a signal.
exec sleep 3600
