"""What SMTP and POP3 share on the wire, sans-I/O: lines, dots, text and the pairing of replies with commands."""
