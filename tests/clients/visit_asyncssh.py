"""asyncssh: commands, many at once, files by SFTP and scp, a terminal. Key and password, as prompted for."""
import asyncio
import json
import sys

import asyncssh


async def main(visit):
    password = open(visit["password_file"]).read().strip()
    said = {}
    async with asyncssh.connect(
        visit["host"], visit["port"], username=visit["user"], client_keys=[visit["key"]], password=password,
        known_hosts=visit["known_hosts"], config=None, agent_path=None,
    ) as connection:
        result = await connection.run("cat; echo told >&2; exit 6", input="given")
        said["command"] = [result.stdout, result.stderr, result.exit_status]
        many = await asyncio.gather(*[connection.run(f"echo {number}") for number in range(40)])
        said["many"] = [result.stdout.strip() for result in many]
        async with connection.start_sftp_client() as sftp:
            await sftp.put(visit["sent"], visit["there"] + "/by-sftp")
            await sftp.get(visit["there"] + "/by-sftp", visit["back"] + "/by-sftp")
        await asyncssh.scp(visit["sent"], (connection, visit["there"] + "/by-scp"))
        await asyncssh.scp((connection, visit["there"] + "/by-scp"), visit["back"] + "/by-scp")
        process = await connection.create_process(term_type="xterm", term_size=(90, 33))
        process.stdin.write("stty size; exit\n")
        said["terminal"] = await process.stdout.read()
    json.dump(said, sys.stdout)


asyncio.run(main(json.load(open(sys.argv[1]))))
