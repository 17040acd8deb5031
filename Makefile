# netns: network namespaces for Lua
#
#   make                 build/5.4/netns.so
#   make deps            install what is missing for run and test; for others,
#                        GROUPS='build lint' as in .ci/packages
#   make run             make deps, build, and show what it does
#   make test            make deps, build, and run the specs, some of them once
#                        more as an ordinary user
#   make test-all        the same with Lua 5.4, 5.3, 5.2, 5.1 and LuaJIT
#   make test-vm         the same on another kernel, in a machine that qemu
#                        emulates; KERNEL=6.1
#   make test-fresh      make deps, run and test on a new machine, a minimal
#                        Debian; RELEASE=bookworm
#   make lint            luacheck, cppcheck, clang-tidy, luarocks lint, and the
#                        list of all calls
#   make asan            the specs under the address and undefined sanitizers
#   make threads         eight threads for SECONDS=30
#   make tsan            the same under the thread sanitizer
#   make valgrind        the specs under valgrind, but for what it lacks
#                        system calls for
#   make fuzz            the parsers against libFuzzer; SECONDS=20 for each
#   make bench           side by side with a floor in C, ip, Go and pyroute2
#   make doc             the reference, by LDoc, into build/doc
#   make install         PREFIX=/usr/local DESTDIR=
#   make clean
#
# LUA=5.4 chooses the Lua to build for (5.1 to 5.4, or luajit), and
# SPEC=spec/exec_spec.lua what to run; JOBS=2 how many specs beside each other.

LUA     ?= 5.4
CC      ?= cc
CFLAGS  ?= -O2 -g
KERNEL  ?= 6.1
RELEASE ?= bookworm
JOBS    ?= 2
PREFIX  ?= /usr/local
DESTDIR ?=
BUILD   ?= build/$(LUA)

luas     = 5.4 5.3 5.2 5.1 luajit
# LuaJIT looks where Lua 5.1 does.
lua      = $(if $(filter luajit,$(LUA)),luajit,lua$(LUA))
version  = $(if $(filter luajit,$(LUA)),5.1,$(LUA))
share    = $(DESTDIR)$(PREFIX)/share/lua/$(version)/netns
lib      = $(DESTDIR)$(PREFIX)/lib/lua/$(version)
paths    = LUA_PATH="./lua/?.lua;./lua/?/init.lua;;" \
           LUA_CPATH="./$(BUILD)/?.so;;"

warnings = -Wall -Wextra -Wshadow -Wstrict-prototypes
packages = $(shell pkg-config --cflags $(lua) libnl-3.0)
cflags   = -std=c11 -D_GNU_SOURCE $(warnings) -fvisibility=hidden -fPIC \
           $(packages) $(CFLAGS)
libs     = $(shell pkg-config --libs libnl-3.0)

# The specs that an ordinary user runs once more, after netns.rootless().
rootless = spec/topology_spec.lua spec/handle_spec.lua spec/names_spec.lua \
           spec/monitor_spec.lua
user     = setpriv --reuid 65534 --regid 65534 --clear-groups

# Each in namespaces of its own, JOBS at a time, since they mostly wait; large
# ones first.
specs    = $(or $(SPEC),$(shell find spec -name '*_spec.lua' \
             -printf '%s %p\n' | sort -rn | cut -d' ' -f2))
isolated = env NETNS_BUILD=$(BUILD) spec/isolated spec/readable
busted   = /usr/bin/busted --output=spec/report.lua

GROUPS   = build test lua-$(LUA)
deps     = $(MAKE) --no-print-directory deps

sources  = $(wildcard csrc/*.c)
headers  = $(wildcard csrc/*.h)
objects  = $(sources:csrc/%.c=$(BUILD)/%.o)

all: $(BUILD)/netns.so

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile

# liblua is not linked in: every host brings its own.
$(BUILD)/netns.so: $(objects)
	$(CC) -shared $(CFLAGS) $(LDFLAGS) -o $@ $(objects) $(libs)

$(BUILD)/%.o: csrc/%.c $(headers) Makefile
	@mkdir -p $(@D)
	$(CC) $(cflags) -c -o $@ $<

# A program with Lua inside, for the specs and the sanitizers.
$(BUILD)/host: spec/host.c csrc/compat.h Makefile
	@mkdir -p $(@D)
	$(CC) $(cflags) -Icsrc $(LDFLAGS) -pthread -o $@ $< \
	  $(shell pkg-config --libs $(lua))

# Nothing else installs anything, or writes outside of this directory.
deps:
	@.ci/packages $(GROUPS)

run:
	@$(deps) GROUPS='build lua-$(LUA)'
	@$(MAKE) --no-print-directory all
	@$(paths) $(lua) examples/lab.lua

test:
	@$(deps)
	@$(MAKE) --no-print-directory all $(BUILD)/host
	@printf '%s\n' $(specs:%='$(isolated) $(lua) $(busted) %') \
	  $(patsubst %,'$(isolated) $(user) $(lua) $(busted) \
	    --helper=spec/rootless.lua %',$(filter $(rootless),$(specs))) | \
	  spec/suite $(JOBS)

# The libraries first, since a spec tries each in each Lua.
test-all:
	@$(deps) GROUPS='build test $(luas:%=lua-%)'
	@for lua in $(luas); do \
	  $(MAKE) --no-print-directory -s LUA=$$lua all || exit; done
	@said=; for lua in $(luas); do echo "== Lua $$lua"; \
	  if $(MAKE) --no-print-directory -s test LUA=$$lua; \
	  then said="$$said, $$lua passes"; else said="$$said, $$lua FAILS"; fi; \
	done; echo "Lua: $${said#, }"; case $$said in *FAILS*) exit 1;; esac

# The usual kernel of a distribution is of the version that is wanted, or not.
test-vm:
	@$(deps) GROUPS='build test vm'
	@ls /boot/vmlinuz-$(KERNEL)[.+-]* >/dev/null 2>&1 || \
	  $(deps) GROUPS=kernel-$(KERNEL)
	@$(MAKE) --no-print-directory all $(BUILD)/host
	@echo spec/vm $(KERNEL) $(isolated) $(lua) $(busted) $(SPEC) | spec/suite

test-fresh:
	@$(deps) GROUPS=fresh
	@spec/fresh $(RELEASE) $(SPEC)

lint:
	@$(deps) GROUPS='build lint'
	luacheck --no-color --quiet . examples/nmap/*.nse
	@$(MAKE) --no-print-directory all
	LUA_PATH="./?.lua;./lua/?.lua;./lua/?/init.lua;;" \
	  LUA_CPATH="./$(BUILD)/?.so;;" $(lua) spec/calls_check.lua
	cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr \
	  --enable=warning,performance,portability --library=posix,gnu \
	  --suppress=missingInclude csrc
	@echo clang-tidy csrc
	@printf '%s\n' $(sources) | xargs -P $(JOBS) -n 4 \
	  sh -c 'clang-tidy --quiet "$$@" -- $(cflags) 2>/dev/null' -
	luarocks --lua-version $(version) lint netns-scm-1.rockspec

# The sanitizers want their runtime in the program from the start: a host of
# our own is it. Its leaks at exit count.
asan: BUILD = build/asan-$(LUA)
asan: export NETNS_SPEC_LUA = $(BUILD)/host 0
asan: export ASAN_OPTIONS = detect_leaks=1
asan:
	@$(deps)
	@$(MAKE) --no-print-directory BUILD=$(BUILD) \
	  CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined" \
	  all $(BUILD)/host
	@printf '%s\n' $(specs:%='$(isolated) $(BUILD)/host 0 $(busted) %') | \
	  spec/suite $(JOBS)

threads: export NETNS_SPEC_SECONDS = $(or $(SECONDS),30)
threads:
	@$(MAKE) --no-print-directory test SPEC=spec/threads_spec.lua

# The sanitizer's own clone(2) is a fork to it, which ends all other threads in
# its books; glibc has it by another name, too.
tsan: BUILD = build/tsan
tsan: export NETNS_SPEC_LUA = $(BUILD)/host 0
tsan: export TSAN_OPTIONS = suppressions=$(CURDIR)/spec/tsan.supp
tsan: export NETNS_SPEC_SECONDS = $(or $(SECONDS),30)
tsan:
	@$(deps) GROUPS='build test tsan'
	@$(MAKE) --no-print-directory BUILD=$(BUILD) \
	  CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=thread -Dclone=__clone" \
	  all $(BUILD)/host
	@echo $(isolated) $(BUILD)/host 0 $(busted) \
	  $(or $(SPEC),spec/threads_spec.lua) | spec/suite

valgrind:
	@$(deps) GROUPS='build test lint'
	@$(MAKE) --no-print-directory all $(BUILD)/host
	@echo $(isolated) valgrind --quiet --error-exitcode=9 \
	  --leak-check=full --errors-for-leak-kinds=definite \
	  --show-leak-kinds=definite --child-silent-after-fork=yes \
	  $(lua) $(busted) --exclude-tags=novalgrind $(SPEC) | spec/suite

# All of csrc with a fuzzer of spec/fuzz, which plays the kernel.
fuzz_flags = -fsanitize=address,undefined,float-cast-overflow \
             -fno-sanitize-recover=all
$(BUILD)/fuzz-%: spec/fuzz/%.c spec/fuzz/kernel.c spec/fuzz/kernel.h $(objects)
	$(CC) $(cflags) -Icsrc -fsanitize=fuzzer -o $@ $< spec/fuzz/kernel.c \
	  $(objects) -Wl,--wrap=send,--wrap=recvfrom,--wrap=ioctl \
	  $(libs) $(shell pkg-config --libs $(lua)) -lm

fuzz:
	@$(deps) GROUPS='build fuzz'
	@$(MAKE) --no-print-directory -s BUILD=build/fuzz CC=clang \
	  CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link $(fuzz_flags) -include spec/fuzz/strict.h" \
	  $(patsubst %,build/fuzz/fuzz-%,prefix units read write)
	spec/isolated spec/fuzz/run $(or $(SECONDS),20) $(SEED)

bench:
	@$(deps) GROUPS=build
	@$(MAKE) --no-print-directory all
	bench/run

doc:
	@$(deps) GROUPS=doc
	ldoc --quiet --config .ldoc --dir build/doc .

install: all
	install -d $(share)/topology $(lib)
	install -m 644 lua/netns/*.lua $(share)
	install -m 644 lua/netns/topology/*.lua $(share)/topology
	install -m 755 $(BUILD)/netns.so $(lib)

clean:
	rm -rf build

.PHONY: all help deps run test test-all test-vm test-fresh lint asan threads \
  tsan valgrind fuzz bench doc install clean
