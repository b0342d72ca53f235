"""The commands of `openai-proxy`, a file each: `describe(parser)` adds its arguments, `run(args, environ)` runs it."""
