"""paramiko: a command, files by SFTP, a terminal. Key and password, or the certificate that lies beside the key."""
import json
import sys

import paramiko

visit = json.load(open(sys.argv[1]))
said = {}
client = paramiko.SSHClient()
client.load_host_keys(visit["known_hosts"])
options = {"key_filename": visit["key"], "allow_agent": False, "look_for_keys": False}
if sys.argv[2] == "password":
    # The default transport asks for the ssh-userauth service again before each step of a sign-in.
    options["transport_factory"] = paramiko.ServiceRequestingTransport
    options["password"] = open(visit["password_file"]).read().strip()
client.connect(visit["host"], visit["port"], visit["user"], **options)
_, out, err = client.exec_command("echo out; echo told >&2; exit 5")
said["command"] = [out.read().decode(), err.read().decode(), out.channel.recv_exit_status()]
sftp = client.open_sftp()
sftp.put(visit["sent"], visit["there"] + "/by-sftp")
sftp.get(visit["there"] + "/by-sftp", visit["back"] + "/by-sftp")
shell = client.invoke_shell("xterm", 90, 33)
shell.send(b"stty size; exit\n")
screen = b""
while chunk := shell.recv(4096):
    screen += chunk
said["terminal"] = screen.decode()
client.close()
json.dump(said, sys.stdout)
