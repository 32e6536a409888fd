//! Knows one password, and says so in the words of Dovecot (its authentication protocol, version 1), for a
//! Postfix that asks.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};

/// Where it listens, for as long as the process lives.
pub fn known(user: &'static str, secret: &'static str) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let expected = BASE64_STANDARD.encode(format!("\0{user}\0{secret}"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let expected = expected.clone();
            thread::spawn(move || answer(&stream, user, &expected));
        }
    });
    Ok(address)
}

fn answer(mut stream: &TcpStream, user: &str, expected: &str) -> io::Result<()> {
    let cookie = "0123456789abcdef0123456789abcdef";
    write!(stream, "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t{cookie}\nDONE\n")?;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split('\t').collect();
        let ["AUTH", id, ..] = words[..] else { continue };
        let response = words.iter().find_map(|word| word.strip_prefix("resp="));
        if response == Some(expected) {
            writeln!(stream, "OK\t{id}\tuser={user}")?;
        } else {
            writeln!(stream, "FAIL\t{id}\tuser={user}")?;
        }
    }
    Ok(())
}
