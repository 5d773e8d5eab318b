"""The commands, one file each: parse the options, call the library, print."""
