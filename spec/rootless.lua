-- For busted's --helper: the specs are run by a process that has made itself
-- able to, as an ordinary user's does.
assert(require "netns".rootless())
