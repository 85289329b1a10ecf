"""What the scripts beside this share: a connection by key and password, as the visit's file tells. (asyncssh does not
load the certificate of a carried sign-in: that has a critical option which other servers shall not know.)"""
import json
import sys

import asyncssh


def connect():
    visit = json.load(open(sys.argv[1]))
    return asyncssh.connect(
        visit["host"], visit["port"], username=visit["user"], client_keys=[visit["key"]],
        password=visit["password"], known_hosts=visit["known_hosts"], config=None, agent_path=None,
    )
