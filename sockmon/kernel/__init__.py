"""One file a kernel interface: read it, parse it, raise Unreadable with a reason when that cannot be done."""
