import smtplib
import ssl
import sys

way, host, port, trusted, user, secret, sender, file, *recipients = sys.argv[1:]
context = ssl.create_default_context(cafile=trusted)
connect = smtplib.SMTP_SSL if way == 'implicit' else smtplib.SMTP
more = {'context': context} if way == 'implicit' else {}
with connect(host, int(port), local_hostname='client.test', **more) as client:
    if way in ('starttls', 'auth'):
        client.starttls(context=context)
    if way in ('auth', 'implicit'):
        client.login(user, secret)
    options = [] if sender.isascii() else ['SMTPUTF8', 'BODY=8BITMIME']
    refused = client.sendmail(sender, recipients, open(file, 'rb').read(), options)
    assert not refused, refused
