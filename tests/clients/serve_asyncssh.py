"""asyncssh as equipment: signs in by the one method that it is told, and answers a command with who asked.

serve_asyncssh.py METHOD ACCOUNT PASSWORD_FILE HOST_KEY: METHOD is password or keyboard-interactive. Prints its port.
"""
import asyncio
import sys

import asyncssh

METHOD, ACCOUNT, PASSWORD_FILE, HOST_KEY = sys.argv[1:]
PASSWORD = open(PASSWORD_FILE).read().strip()


class Equipment(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def public_key_auth_supported(self):
        return False

    def password_auth_supported(self):
        return METHOD == "password"

    def validate_password(self, username, password):
        return (username, password) == (ACCOUNT, PASSWORD)

    def kbdint_auth_supported(self):
        return METHOD == "keyboard-interactive"

    def get_kbdint_challenge(self, username, lang, submethods):
        return "", "Service console", "", [("Service password: ", False)]

    def validate_kbdint_response(self, username, responses):
        return (username, list(responses)) == (ACCOUNT, [PASSWORD])


def answer(process):
    process.stdout.write(f"{process.get_extra_info('username')} asked: {process.command}\n")
    process.exit(0)


async def main():
    server = await asyncssh.create_server(
        Equipment, "127.0.0.1", 0, server_host_keys=[HOST_KEY], process_factory=answer, encoding="utf-8"
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.wait_closed()


asyncio.run(main())
