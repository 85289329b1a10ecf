"""A mail server (aiosmtpd) that keeps what it is sent, and what Python's own `email` reads in it, a JSON line a mail.

serve.py PORT KEPT TLS [--certificate PEM --key PEM] [--user NAME --password WORD] [--refuse ADDRESS] [--later ADDRESS]
"""
import argparse
import asyncio
import email
import email.policy
import json
import ssl

from aiosmtpd.smtp import SMTP, AuthResult

parser = argparse.ArgumentParser()
parser.add_argument("port", type=int)
parser.add_argument("kept")
parser.add_argument("tls", choices=["implicit", "starttls", "none"])
for option in ["certificate", "key", "user", "password", "refuse", "later"]:
    parser.add_argument(f"--{option}")
asked = parser.parse_args()


class Keeper:
    """Takes mail, but for those whom it is told not to know, or not to know yet."""

    def __init__(self):
        self.put_off = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address == asked.refuse:
            return f"550 5.1.1 <{address}> is unknown here"
        if address == asked.later and address not in self.put_off:
            self.put_off.add(address)
            return "450 4.2.0 come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        raw = envelope.original_content
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        kept = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "protected": session.ssl is not None or asked.tls == "implicit",
            "authenticated": bool(session.authenticated),
            "defects": [str(defect) for defect in mail.defects],
            "headers": [[name, str(value)] for name, value in mail.items()],
            "parts": [part.get_content_type() for part in mail.walk()],
            "subject": mail["Subject"],
            "id": mail["Message-ID"],
            "body": mail.get_body(("plain",)).get_content(),
            "raw": raw.decode("ascii", "backslashreplace"),
        }
        with open(asked.kept, "a") as file:
            file.write(json.dumps(kept) + "\n")
        return "250 2.0.0 kept"


def known(server, session, envelope, mechanism, data):
    sound = data.login == asked.user.encode() and data.password == asked.password.encode()
    return AuthResult(success=sound, handled=False)


async def serve():
    options, implicit = {}, None
    if asked.user:
        options = {"authenticator": known, "auth_required": True, "auth_require_tls": asked.tls == "starttls"}
    if asked.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(asked.certificate, asked.key)
        if asked.tls == "implicit":
            implicit = context
        else:
            options |= {"tls_context": context, "require_starttls": True}
    keeper = Keeper()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(keeper, **options), "127.0.0.1", asked.port, ssl=implicit)
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(serve())
