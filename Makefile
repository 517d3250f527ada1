# SPDX-License-Identifier: MIT
# Builds, runs and tests fcgi-host; `make help` lists the targets.
#
# A flavour is a set of flags and a folder build/FLAVOUR. A program is the
# objects of its folder below fcgi-host/ and what it takes from the libraries
# (base, wire, config, ipc, serve); sources are found by name, so a new file needs no
# line here.

.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

FLAVOUR ?= release
BUILD := build/$(FLAVOUR)

# What `make run` serves, and where.
PORT ?= 8080
FUNCTIONS ?= functions
RUN ?=
CONF ?=
# Where `make install` puts it; DESTDIR comes before all of them.
PREFIX ?= /usr/local
# Where the host looks for its configuration is the same for all of them; who may
# not write there says another.
SYSCONFDIR ?= /etc
# Seconds for each fuzzer of `make fuzz`; further arguments for pytest, and how
# many files of end to end tests run at a time: they wait more than they compute.
SECONDS_EACH ?= 30
ARGS ?=
AT_ONCE ?= 3

# ---- flags ------------------------------------------------------------------

HARDENING := -fstack-protector-strong -fstack-clash-protection -fcf-protection
FLAGS_release := -O2 -g $(HARDENING) -D_FORTIFY_SOURCE=2
FLAGS_clang := $(FLAGS_release)
FLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
FLAGS_fuzz := $(FLAGS_asan) -fsanitize=fuzzer-no-link
# For build/musl/libfn.a only. The last place is for <fastcgi.h>, which needs nothing.
FLAGS_musl := -O2 -g -idirafter /usr/include
ifeq ($(origin CC),default)
CC := $(if $(filter clang fuzz,$(FLAVOUR)),clang,$(if \
	$(filter musl,$(FLAVOUR)),musl-gcc,gcc))
endif

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wvla -Wwrite-strings -Wpointer-arith -Wundef -Wformat=2 \
	$(if $(WERROR),-Werror)
VERSION := 0.1
INCLUDES := -D_GNU_SOURCE -DFCGI_HOST_VERSION='"$(VERSION)"' -Ifcgi-host \
	-I$(BUILD)/generated
# What CPPFLAGS, CFLAGS and LDFLAGS say comes behind and wins.
FLAGS = -std=gnu17 -fPIE -ffunction-sections -fdata-sections \
	$(FLAGS_$(FLAVOUR)) $(WARNINGS)
COMPILE = $(CC) $(INCLUDES) $(CPPFLAGS) $(FLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
LINK = $(CC) $(FLAGS) $(CFLAGS) -pie -Wl,--as-needed,--gc-sections,-z,relro \
	-Wl,-z,now $(LDFLAGS) -o $@ $^

# ---- what there is ----------------------------------------------------------

LIBRARIES := $(foreach l,sdk serve ipc config wire base,$(if \
	$(wildcard fcgi-host/$(l)/*.c),$(l)))
FOLDERS := master gateway cell log state ctl
NAME_master := fcgi-host
NAME_gateway := fcgi-host-gateway
NAME_cell := fcgi-host-cell
NAME_log := fcgi-host-log
NAME_state := fcgi-host-state
NAME_ctl := fcgi-hostctl

objects = $(patsubst fcgi-host/%.c,$(BUILD)/objects/%.o,\
	$(sort $(wildcard fcgi-host/$(1)/*.c)))
# Not sdk: that is for functions, and has names that state has as well.
archives := $(patsubst %,$(BUILD)/lib%.a,$(filter-out sdk,$(LIBRARIES)))
# A folder without a main.c is no program.
PROGRAM_FOLDERS := $(foreach f,$(FOLDERS),$(if \
	$(wildcard fcgi-host/$(f)/main.c),$(f)))
programs := $(foreach f,$(PROGRAM_FOLDERS),$(BUILD)/$(NAME_$(f)))
python := $(BUILD)/fcgi-host-python
units := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,\
	$(sort $(wildcard tests/unit/*.c)))
fuzzers := $(patsubst tests/fuzz/fuzz_%.c,%,\
	$(sort $(wildcard tests/fuzz/fuzz_*.c)))
replays := $(fuzzers:%=$(BUILD)/replay/%)
demos := $(patsubst %.c,%,$(wildcard functions/demo/*.c))
rogues := $(patsubst functions/rogue/source/%.c,$(BUILD)/rogue/%,\
	$(wildcard functions/rogue/source/*.c))
sandboxed := $(BUILD)/sandbox/attempt $(patsubst tests/sandbox/%.c,\
	$(BUILD)/sandbox/%,$(wildcard tests/sandbox/*.c))
others := $(patsubst tests/e2e/programs/%.c,$(BUILD)/programs/%,\
	$(wildcard tests/e2e/programs/*.c))
benches := $(addprefix $(BUILD)/bench/,spawn direct hello-static hello-dynamic \
	hello-fn paced proxy raw_sqlite resident steps store)
c_files := $(sort $(wildcard fcgi-host/*/*.c tests/*/*.c tests/*/*/*.c \
	functions/*/*.c functions/*/*/*.c))
h_files := $(sort $(wildcard fcgi-host/*/*.h tests/*/*.h tests/*/*/*.h \
	functions/*/*.h))

# ---- building ---------------------------------------------------------------

.PHONY: all libraries run test unit e2e fuzz replay asan torture tidy format \
	format-check check bench install clean help \
	packages-build packages-run packages-test packages-check packages-bench \
	packages-python

all: $(programs) python $(BUILD)/libfn.a $(demos)	## build all programs into build/release

libraries: $(archives)

packages-build packages-run packages-test packages-check packages-bench:
	@conf/install-packages $(@:packages-%=%)
packages-python:	# can be done without
	@conf/install-packages python || :

$(BUILD)/objects/wire/%.o: WARNINGS += -Wconversion
$(BUILD)/objects/%.o: fcgi-host/%.c | packages-build
	@mkdir -p $(@D)
	$(COMPILE)

define library_rule
$(BUILD)/lib$(1).a: $(call objects,$(1))
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach l,$(LIBRARIES),$(eval $(call library_rule,$(l))))

# The system calls that a cell denies become a filter here, so that no program
# needs the library. Whatever the flavour: it runs on this machine, now.
seccomp_filter := $(BUILD)/generated/cell/seccomp_filter.inc
$(seccomp_filter): fcgi-host/tools/make_filter.c fcgi-host/cell/denied.def \
    | packages-build
	@mkdir -p $(@D)
	cc -std=gnu17 -O1 $(WARNINGS) -Ifcgi-host -o $(@D)/make_filter $< -lseccomp
	$(@D)/make_filter >$@
$(BUILD)/objects/cell/seccomp.o: $(seccomp_filter)

# --as-needed leaves out what a program does not use of them.
SYSTEM_LIBRARIES := -lconfig -ljansson -lcrypto -lsqlite3
define program_rule
$(BUILD)/$(NAME_$(1)): $(call objects,$(1)) $(archives)
	$$(LINK) $(SYSTEM_LIBRARIES)
endef
$(foreach f,$(PROGRAM_FOLDERS),$(eval $(call program_rule,$(f))))

# What functions are linked with. Three objects: state calls; a handler's requests
# and replies; the main() that calls it, for programs that have none. In each is what
# it needs of the libraries, of which only fn_... can be seen from outside. The
# second has the note by which the host knows a function that is a handler.
fn_state := call client http page problem state variables walk
fn_START := sdk/start
fn_STATE := $(fn_state:%=sdk/%) base/buf base/clock base/span wire/base64
fn_HANDLER := $(filter-out sdk/start $(fn_STATE),$(patsubst \
	fcgi-host/%.c,%,$(sort $(wildcard fcgi-host/sdk/*.c)))) base/buf \
	base/clock base/fd base/landlock base/span wire/cgi_head wire/fcgi \
	wire/params wire/template wire/url_path
define fn_rule
$(BUILD)/fn_$(1).o: $(fn_$(2):%=$(BUILD)/objects/%.o)
	$$(CC) -r -nostdlib -o $$@ $$^
	objcopy --wildcard --keep-global-symbol='fn_*' \
	    --keep-global-symbol=main $$@
endef
$(eval $(call fn_rule,start,START))
$(eval $(call fn_rule,state,STATE))
$(eval $(call fn_rule,handler,HANDLER))
$(BUILD)/libfn.a: $(BUILD)/fn_start.o $(BUILD)/fn_handler.o \
    $(BUILD)/fn_state.o
	@rm -f $@
	ar rcs $@ $^
.PHONY: FORCE
ifneq ($(FLAVOUR),release)
build/release/libfn.a: FORCE
	$(MAKE) FLAVOUR=release CC=gcc $@
endif
ifneq ($(FLAVOUR),musl)
build/musl/libfn.a: FORCE
	$(MAKE) FLAVOUR=musl CC=musl-gcc $@
endif
# For `make install`, where there is one.
musl := $(if $(shell command -v musl-gcc),build/musl/libfn.a)

# Runs functions written in Python: a function of the SDK that has an interpreter in
# it. Where there is no library of Python, the host refuses those functions and does
# all the rest.
.PHONY: python
python: packages-python $(BUILD)/libfn.a
	@if pkg-config --exists python3-embed; then \
		$(MAKE) --no-print-directory $(python); \
	else \
		rm -f $(python); \
		echo "$(python) is not built: python3-dev is not installed"; \
	fi
embed = $(shell pkg-config $(1) python3-embed)
# A function like any, under its limits: the sanitizer does not fit into those.
ifeq ($(FLAVOUR),asan)
$(python): FORCE
	$(MAKE) FLAVOUR=release build/release/fcgi-host-python
	cmp -s build/release/$(@F) $@ || install -D build/release/$(@F) $@
else
$(python): $(call objects,python) $(BUILD)/libfn.a
	$(LINK) $(call embed,--libs)
endif
$(BUILD)/objects/python/%.o: INCLUDES += $(call embed,--cflags)
# Its part in Python is compiled by the Python whose library this is.
python_code := $(BUILD)/generated/python/function.inc
$(python_code): fcgi-host/python/function.py fcgi-host/python/freeze.py \
    | packages-build
	@mkdir -p $(@D)
	$(call embed,--variable=exec_prefix)/bin/python$(call embed,--modversion) \
	    -I -B fcgi-host/python/freeze.py $< >$@
$(BUILD)/objects/python/main.o: $(python_code)

# Programs that know nothing of the host but libfn: static, so that they start
# fast and run in any file system.
functions/demo/%: functions/demo/%.c build/release/libfn.a | packages-build
	$(CC) -std=gnu17 -O2 -s -static -Ifcgi-host/sdk $(WARNINGS) -o $@ $^ \
	    -Wl,--gc-sections -lm
$(BUILD)/rogue/%: functions/rogue/source/%.c | packages-build
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -std=gnu17 -O1 -static $(WARNINGS) -o $@ $<
$(BUILD)/sandbox/%: tests/sandbox/%.c | packages-build
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -std=gnu17 -O1 -static $(WARNINGS) -o $@ $<
attempt := $(sort $(wildcard tests/sandbox/attempt/*.c))
$(BUILD)/sandbox/attempt: $(attempt) tests/sandbox/attempt/attempt.h \
    tests/sandbox/attempts.def | packages-build
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -std=gnu17 -O1 -static $(WARNINGS) -o $@ $(attempt)

# Programs that know nothing of the host at all.
$(BUILD)/programs/%: tests/e2e/programs/%.c | packages-build
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O1 $(WARNINGS) -o $@ $< -lfcgi

$(BUILD)/bench/%: tests/bench/%.c | packages-build
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O2 $(WARNINGS) -o $@ $< -Wl,--as-needed -lfcgi \
	    -lsqlite3
$(BUILD)/bench/store: tests/bench/store.c $(filter-out %/main.o,\
    $(call objects,state)) $(archives)
	@mkdir -p $(@D)
	$(CC) $(INCLUDES) -std=gnu17 -O2 $(WARNINGS) -o $@ $^ $(SYSTEM_LIBRARIES)
# musl, because the start of the other libc takes longer than all the rest
$(BUILD)/bench/hello-static: tests/bench/hello.c | packages-bench
	@mkdir -p $(@D)
	musl-gcc -std=gnu17 -O2 -s -static $(WARNINGS) -o $@ $<
$(BUILD)/bench/hello-fn: tests/bench/hello_fn.c
$(BUILD)/bench/resident: tests/bench/resident.c
$(BUILD)/bench/hello-fn $(BUILD)/bench/resident: build/musl/libfn.a | packages-bench
	@mkdir -p $(@D)
	musl-gcc -std=gnu17 -O2 -s -static -Ifcgi-host/sdk $(WARNINGS) -o $@ $^ \
	    -Wl,--gc-sections
$(BUILD)/bench/hello-dynamic: tests/bench/hello.c | packages-build
	@mkdir -p $(@D)
	$(CC) -std=gnu17 -O2 -s $(WARNINGS) -o $@ $<

# ---- tests ------------------------------------------------------------------

# tests/unit/gateway_route.c is linked with the libraries and, as its name
# begins with a process folder, with that folder's objects but main.o.
folder_of = $(filter $(FOLDERS),$(firstword $(subst _, ,$(1))))
define unit_rule
$(BUILD)/unit/$(1): $(BUILD)/objects/unit/$(1).o \
    $(if $(call folder_of,$(1)),$(filter-out %/main.o,\
    $(call objects,$(call folder_of,$(1))))) $(if \
    $(filter sdk_%,$(1)),$(BUILD)/libsdk.a) $(archives)
	@mkdir -p $$(@D)
	$$(LINK) -lcmocka $(SYSTEM_LIBRARIES)
endef
$(foreach u,$(units),$(eval $(call unit_rule,$(notdir $(u)))))
$(BUILD)/objects/unit/%.o: tests/unit/%.c | packages-test
	@mkdir -p $(@D)
	$(COMPILE)

# Under the fuzz flavour libFuzzer brings main(), else replay.c does.
fuzz_main := $(if $(filter fuzz,$(FLAVOUR)),,$(BUILD)/objects/fuzz/replay.o)
$(BUILD)/objects/fuzz/%.o: tests/fuzz/%.c | packages-build
	@mkdir -p $(@D)
	$(COMPILE)
# As for units: fuzz_state_route.c is linked with that folder's objects.
define replay_rule
$(BUILD)/replay/$(1): $(BUILD)/objects/fuzz/fuzz_$(1).o $(fuzz_main) \
    $(if $(call folder_of,$(1)),$(filter-out %/main.o,\
    $(call objects,$(call folder_of,$(1))))) $(if \
    $(filter sdk_%,$(1)),$(BUILD)/libsdk.a) $(archives)
	@mkdir -p $$(@D)
	$$(LINK) $(if $(fuzz_main),,-fsanitize=fuzzer) $$(SYSTEM_LIBRARIES)
endef
$(foreach f,$(fuzzers),$(eval $(call replay_rule,$(f))))

PYTEST = FLAVOUR=$(FLAVOUR) /usr/bin/python3 -B -m pytest -q \
	-p no:cacheprovider -n $(AT_ONCE) --dist loadfile tests/e2e $(ARGS)

run: packages-run all	## serve functions/ on 127.0.0.1:PORT until Ctrl-C
	@PORT='$(PORT)' FUNCTIONS='$(FUNCTIONS)' RUN='$(RUN)' CONF='$(CONF)' \
	    exec nginx/run $(BUILD)

test:	## all tests but the long ones
	$(MAKE) unit
	$(MAKE) replay
	$(MAKE) e2e

unit: packages-test $(programs) $(units)	## unit tests
	@failed=; for unit in $(units); do \
		echo "unit: $${unit##*/}"; \
		$$unit >$$unit.log 2>&1 || \
		    { failed="$$failed $${unit##*/}"; cat $$unit.log; }; \
	done; [ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }

replay: $(replays)	## run the fuzzers' corpus once
	@for name in $(fuzzers); do \
		$(BUILD)/replay/$$name tests/fuzz/corpus/$$name || exit 1; \
	done

e2e: packages-run packages-test all $(rogues) $(sandboxed) $(others)	## end to end, with a real nginx
	$(PYTEST)

torture: packages-run packages-test all $(rogues) $(sandboxed) $(others)	## tests with full counts
	TORTURE=1 STEPS=100000 $(MAKE) unit
	TORTURE=1 $(PYTEST)

asan:	## unit tests, corpus and e2e under AddressSanitizer and UBSan
	$(MAKE) FLAVOUR=asan test

fuzz: packages-check	## fuzz each parser for SECONDS_EACH seconds
	$(MAKE) FLAVOUR=fuzz fuzz-all

.PHONY: fuzz-all
fuzz-all: $(replays)
	@for name in $(fuzzers); do \
		mkdir -p build/corpus/$$name tests/fuzz/corpus/$$name; \
		$(BUILD)/replay/$$name -max_total_time=$(SECONDS_EACH) \
		    -print_final_stats=1 -artifact_prefix=build/corpus/ \
		    build/corpus/$$name tests/fuzz/corpus/$$name || exit 1; \
	done

bench: packages-run packages-bench all $(benches)	## measure against peers
	/usr/bin/python3 -B tests/bench/bench.py --build $(BUILD) $(ARGS)
	/usr/bin/python3 -B tests/bench/bench_warm.py --build $(BUILD) $(ARGS)
	/usr/bin/python3 -B tests/bench/bench_templates.py --build $(BUILD) $(ARGS)
	/usr/bin/python3 -B tests/bench/bench_state.py --build $(BUILD) $(ARGS)
	/usr/bin/python3 -B tests/bench/bench_tenants.py --build $(BUILD) $(ARGS)

# ---- the look of it ---------------------------------------------------------

format: packages-check	## let clang-format lay out all C files
	clang-format -i $(c_files) $(h_files)

format-check: packages-check	## complain where `make format` would change
	clang-format --dry-run --Werror $(c_files) $(h_files)

tidied := $(patsubst %.c,build/tidy/%,$(sort $(wildcard fcgi-host/*/*.c \
	functions/*/*.c functions/*/*/*.c tests/fuzz/*.c)))
tidy: $(tidied)	## clang-tidy over all that is not a test or benchmark

build/tidy/fcgi-host/python/%: INCLUDES += $(call embed,--cflags)
build/tidy/fcgi-host/python/main: $(python_code)
build/tidy/%: %.c $(h_files) .clang-tidy $(seccomp_filter) | packages-build packages-check
	@mkdir -p $(@D)
	clang-tidy --quiet --warnings-as-errors='*' $< -- $(INCLUDES) \
	    -Ifcgi-host/sdk -std=gnu17
	@touch $@

check: all	## include directions, one-door rules, symbols, SECURITY.md
	tests/check-directions
	tests/check-symbols $(BUILD)
	tests/check-security

# ---- the rest ---------------------------------------------------------------

root = $(DESTDIR)$(PREFIX)
fn_headers := $(addprefix fcgi-host/sdk/,fn.h fn_state.h fn_test.h)
configuration = $(DESTDIR)$(SYSCONFDIR)/fcgi-host/fcgi-host.conf
install: all $(musl)	## install below DESTDIR/PREFIX
	install -d $(root)/sbin $(root)/bin $(root)/libexec/fcgi-host \
	    $(root)/share/fcgi-host/nginx $(root)/share/fcgi-host/conf
	install $(BUILD)/fcgi-host $(root)/sbin
	install $(BUILD)/fcgi-hostctl $(root)/bin
	install $(filter-out %/fcgi-host %/fcgi-hostctl,$(programs)) \
	    $(root)/libexec/fcgi-host
	[ ! -e $(python) ] || install $(python) $(root)/libexec/fcgi-host
	install -D -m 644 -t $(root)/include $(fn_headers)
	install -D -m 644 -t $(root)/lib $(BUILD)/libfn.a
	install -d $(root)/lib/pkgconfig
	sed 's|@PREFIX@|$(PREFIX)|;s|@VERSION@|$(VERSION)|' \
	    fcgi-host/sdk/libfn.pc.in >$(root)/lib/pkgconfig/libfn.pc
ifneq ($(musl),)
	install -D -m 644 -t $(root)/lib/musl/include $(fn_headers)
	install -D -m 644 -t $(root)/lib/musl/lib $(musl)
	sed 's|@PREFIX@|$(PREFIX)/lib/musl|;s|@VERSION@|$(VERSION)|;s|^Name: libfn|&-musl|' \
	    fcgi-host/sdk/libfn.pc.in >$(root)/lib/pkgconfig/libfn-musl.pc
endif
	install -m 644 $(wildcard nginx/*.conf nginx/*.in) \
	    $(root)/share/fcgi-host/nginx
	install -m 644 $(filter-out conf/tmpfiles.conf,$(wildcard conf/*.conf)) \
	    $(root)/share/fcgi-host/conf
	install -D -m 644 conf/tmpfiles.conf $(root)/lib/tmpfiles.d/fcgi-host.conf
	[ -e $(configuration) ] || \
	    install -D -m 600 conf/fcgi-host.conf $(configuration)
	install -D -m 644 -t $(root)/lib/systemd/system $(wildcard conf/*.service)
	for page in $(wildcard fcgi-host/man/*.[1-8]); do \
		install -D -m 644 -t $(root)/share/man/man$${page##*.} $$page; \
	done

clean:	## remove what was built
	rm -rf build $(demos)

help:	## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*##/\1\t/p' $(MAKEFILE_LIST) | \
	    expand -t 16
	@echo "make run takes PORT=$(PORT) FUNCTIONS=$(FUNCTIONS) RUN= CONF="

-include $(wildcard $(BUILD)/objects/*/*.d)
