"""aiosmtpd on four listeners. What it has taken goes on, with a field that says how it came."""

import asyncio
import smtplib
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

certificate, key, user, secret, sink, plain, starttls, auth, implicit = sys.argv[1:]


def address(text):
    host, port = text.rsplit(':', 1)
    return host, int(port)


class Forward:
    def __init__(self, begins_with_tls):
        self.begins_with_tls = begins_with_tls

    async def handle_DATA(self, server, session, envelope):
        field = f'X-Session: {"TLS" if self.begins_with_tls or session.ssl else "clear"} {session.auth_data or "nobody"}\r\n'
        await asyncio.get_running_loop().run_in_executor(None, self.forward, field, envelope)
        return '250 2.0.0 forwarded'

    def forward(self, field, envelope):
        options = [word for word in envelope.mail_options if word.upper() == 'SMTPUTF8']
        with smtplib.SMTP(*address(sink)) as client:
            content = field.encode() + envelope.original_content
            client.sendmail(envelope.mail_from, envelope.rcpt_tos, content, options)


def known(server, session, envelope, mechanism, data):
    is_known = (data.login, data.password) == (user.encode(), secret.encode())
    return AuthResult(success=is_known, auth_data=data.login.decode() if is_known else None)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
for where, more in [
    (plain, {}),
    (starttls, {'tls_context': context, 'require_starttls': True}),
    (auth, {'tls_context': context, 'require_starttls': True, 'authenticator': known, 'auth_required': True}),
    (implicit, {'ssl_context': context}),
]:
    host, port = address(where)
    Controller(Forward('ssl_context' in more), hostname=host, port=port, server_hostname='aiosmtpd.test', enable_SMTPUTF8=True,
               data_size_limit=60_000_000, **more).start()
asyncio.new_event_loop().run_forever()
