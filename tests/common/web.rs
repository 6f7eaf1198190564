//! A small HTTP server for tests: files of the web, and just enough of the interfaces of Google Cloud Storage and Azure to list
//! and read objects.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the server has and has been asked.
#[derive(Default)]
struct Content {
    /// By path, such as `/bucket/a/b.csv`.
    files: BTreeMap<String, Vec<u8>>,
    requests: Vec<String>,
    /// Whether requests for parts of files are answered with all of them.
    ignores_ranges: bool,
}

/// A server, whose thread ends with the process.
pub struct Web {
    /// The host and port.
    pub address: String,
    content: Arc<Mutex<Content>>,
}

impl Web {
    /// Starts a server without files.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let content = Arc::new(Mutex::new(Content::default()));
        let shared = Arc::clone(&content);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, content }
    }

    /// Adds a file. A path with `denied` in it is not given to anybody, one with `broken` is answered by an error.
    pub fn put(&self, path: &str, data: impl Into<Vec<u8>>) {
        self.content.lock().unwrap().files.insert(path.to_owned(), data.into());
    }

    /// From now on, requests for parts of files are answered with all of them.
    pub fn ignore_ranges(&self) {
        self.content.lock().unwrap().ignores_ranges = true;
    }

    /// The requests so far, as in `GET /a.csv`.
    pub fn requests(&self) -> Vec<String> {
        self.content.lock().unwrap().requests.clone()
    }
}

/// Answers the requests of a connection.
fn serve(stream: TcpStream, content: &Mutex<Content>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => break,
                Ok(_) => head.push(line.trim().to_owned()),
            }
        }
        let mut words = head[0].split_whitespace();
        let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let range = head.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("range").then(|| value.trim().trim_start_matches("bytes=").to_owned())
        });
        let answer = answer(&method, &target, range.as_deref(), &mut content.lock().unwrap());
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

fn answer(method: &str, target: &str, range: Option<&str>, content: &mut Content) -> Vec<u8> {
    content.requests.push(format!("{method} {target}"));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = &decoded(path);
    let xml = |body: String| respond(method, "200 OK", body.as_bytes(), 0..body.len());
    let prefix = query.split('&').find_map(|part| part.strip_prefix("prefix=")).unwrap_or("");
    let prefix = decoded(prefix);
    let below: Vec<_> = content
        .files
        .iter()
        .filter_map(|(name, data)| Some((name.strip_prefix(path)?.strip_prefix('/')?, data.len())))
        .filter(|(name, _)| name.starts_with(prefix.as_str()))
        .collect();
    if query.contains("list-type=2") {
        if !content.files.keys().any(|name| name.starts_with(&format!("{path}/"))) {
            return error(method, "404 Not Found", "NoSuchBucket");
        }
        let objects = below.iter().map(|(name, size)| {
            format!(
                "<Contents><Key>{name}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified><Size>{size}</Size>\
                 <ETag>\"1\"</ETag></Contents>"
            )
        });
        return xml(format!("<ListBucketResult>{}</ListBucketResult>", objects.collect::<String>()));
    }
    if query.contains("comp=list") {
        if !content.files.keys().any(|name| name.starts_with(&format!("{path}/"))) {
            return error(method, "404 Not Found", "ContainerNotFound");
        }
        let objects = below.iter().map(|(name, size)| {
            format!(
                "<Blob><Name>{name}</Name><Properties><Last-Modified>Mon, 01 Jan 2024 00:00:00 GMT</Last-Modified>\
                 <Content-Length>{size}</Content-Length><Content-Type>x</Content-Type><Etag>1</Etag></Properties></Blob>"
            )
        });
        return xml(format!(
            "<EnumerationResults><Blobs>{}</Blobs><NextMarker /></EnumerationResults>",
            objects.collect::<String>()
        ));
    }
    if path.contains("denied") {
        return error(method, "403 Forbidden", "AccessDenied");
    }
    if path.contains("broken") {
        return error(method, "501 Not Implemented", "<b>no\nway</b>");
    }
    let Some(data) = content.files.get(path) else { return error(method, "404 Not Found", "NoSuchKey") };
    match range.filter(|_| !content.ignores_ranges) {
        None => respond(method, "200 OK", data, 0..data.len()),
        Some(range) => {
            let (start, end) = range.split_once('-').unwrap();
            let range = match start.parse::<usize>() {
                Ok(start) => start..end.parse::<usize>().map_or(data.len(), |end| (end + 1).min(data.len())),
                Err(_) => data.len() - end.parse::<usize>().unwrap().min(data.len())..data.len(),
            };
            respond(method, "206 Partial Content", data, range)
        }
    }
}

/// A part of a URL without `%XX`.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

fn error(method: &str, status: &str, code: &str) -> Vec<u8> {
    let body = format!("<Error><Code>{code}</Code></Error>");
    respond(method, status, body.as_bytes(), 0..body.len())
}

/// A response with a part of a body.
fn respond(method: &str, status: &str, data: &[u8], range: std::ops::Range<usize>) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nETag: \"1\"\r\n",
        range.len()
    );
    if status.starts_with("206") {
        head += &format!("Content-Range: bytes {}-{}/{}\r\n", range.start, range.end - 1, data.len());
    }
    let mut answer = (head + "\r\n").into_bytes();
    if method != "HEAD" {
        answer.extend_from_slice(&data[range]);
    }
    answer
}
