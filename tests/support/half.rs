//! A request that docket has begun to take, and waits for the rest of.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

/// A connection on which half of a request was sent, and its head accepted.
pub struct Half {
    stream: TcpStream,
    rest: String,
}

impl Half {
    /// Posts the first half of a body. `headers` are whole lines.
    pub fn posted(base: &str, path: &str, headers: &str, body: &str) -> Self {
        let address = base.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (first, rest) = body.split_at(body.len() / 2);
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\n{headers}\
             expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 64];
        let read = stream.read(&mut answer).unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 100"), "{answer:?}");
        stream.write_all(first.as_bytes()).unwrap();
        Self { stream, rest: rest.to_owned() }
    }

    /// Sends the rest.
    pub fn finish(&mut self) {
        self.stream.write_all(std::mem::take(&mut self.rest).as_bytes()).unwrap();
    }

    /// Sends what is left, and reads the answer until docket closes the connection.
    pub fn finished(mut self) -> String {
        self.finish();
        self.answer()
    }

    /// Reads the answer until docket closes the connection.
    pub fn answer(mut self) -> String {
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).unwrap();
        answer
    }
}
