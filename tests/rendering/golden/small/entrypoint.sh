#!/bin/sh
# On PATH as the on-start script of platforms that put a program of their own in the place of the image's entrypoint.
exec /opt/firstlight/bin/firstlight onstart "$@"
