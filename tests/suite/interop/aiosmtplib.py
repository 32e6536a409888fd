import asyncio
import ssl
import sys

import aiosmtplib

way, host, port, trusted, user, secret, sender, file, *recipients = sys.argv[1:]


async def main():
    client = aiosmtplib.SMTP(hostname=host, port=int(port), local_hostname='client.test', use_tls=way == 'implicit',
                             start_tls=way in ('starttls', 'auth'),
                             tls_context=ssl.create_default_context(cafile=trusted))
    async with client:
        if way in ('auth', 'implicit'):
            await client.login(user, secret)
        options = [] if sender.isascii() else ['SMTPUTF8', 'BODY=8BITMIME']
        refused, _ = await client.sendmail(sender, recipients, open(file, 'rb').read(), mail_options=options)
        assert not refused, refused


asyncio.run(main())
