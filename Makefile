# netns: network namespaces for Lua. `make help` lists what there is to do.

LUA     ?= 5.4
CC      ?= cc
CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
DESTDIR ?=
BUILD   ?= build/$(LUA)

lua      = lua$(LUA)
lua_pc   = lua$(LUA)
lua_dir  = $(DESTDIR)$(PREFIX)/share/lua/$(LUA)
lua_libdir = $(DESTDIR)$(PREFIX)/lib/lua/$(LUA)

warnings = -Wall -Wextra -Wshadow -Wstrict-prototypes
cflags   = -std=c11 -D_GNU_SOURCE $(warnings) -fvisibility=hidden -fPIC \
           $(shell pkg-config --cflags $(lua_pc) libnl-3.0) $(CFLAGS)
libs     = $(shell pkg-config --libs libnl-3.0)

sources  = $(wildcard csrc/*.c)
headers  = $(wildcard csrc/*.h)
objects  = $(sources:csrc/%.c=$(BUILD)/%.o)
modules  = $(wildcard lua/netns/*.lua)

all: $(BUILD)/netns.so

$(BUILD)/netns.so: $(objects)
	$(CC) -shared $(LDFLAGS) -o $@ $(objects) $(libs)

$(BUILD)/%.o: csrc/%.c $(headers) Makefile
	@mkdir -p $(@D)
	$(CC) $(cflags) -c -o $@ $<

# A program with Lua inside, for the specs and the sanitizers.
$(BUILD)/host: spec/host.c Makefile
	@mkdir -p $(@D)
	$(CC) $(cflags) -pthread -o $@ $< $(shell pkg-config --libs $(lua_pc))

clean:
	rm -rf build doc/html

.PHONY: all clean
