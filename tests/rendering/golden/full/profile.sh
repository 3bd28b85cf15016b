# Every login shell reads this: the container's environment, for sessions that do not have it, as those of a platform's
# own sshd. What they have set stays, but PATH: a login shell has just set it to the distribution's.
if [ -r /run/firstlight/environment.sh ]; then
	. /run/firstlight/environment.sh
fi
