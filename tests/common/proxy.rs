//! An HTTP proxy between the command and an object store that denies or delays requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What the proxy does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Forwards the request.
    Forward,
    /// Responds that access is denied.
    Deny,
    /// Holds the request until [`Proxy::release`], and then forwards it.
    Hold,
}

/// The action for a request line and headers.
type Rule = Box<dyn FnMut(&str) -> Action + Send>;

#[derive(Default)]
struct State {
    rule: Option<Rule>,
    /// The number of requests that were held.
    held: usize,
    released: bool,
}

/// The proxy. Its threads run until the process exits.
pub struct Proxy {
    pub address: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Proxy {
    /// Starts a proxy for the store at an address.
    pub fn start(store: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (state, store) = (Arc::<(Mutex<State>, Condvar)>::default(), store.to_owned());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, store, state) = (stream.unwrap(), store.clone(), Arc::clone(&shared));
                // Errors are ignored: clients are killed during requests.
                std::thread::spawn(move || drop(serve(&stream, &store, &state)));
            }
        });
        Self { address, state }
    }

    /// Sets the rule for later requests.
    pub fn set_rule(&self, rule: impl FnMut(&str) -> Action + Send + 'static) {
        let mut state = self.state.0.lock().unwrap();
        *state = State { rule: Some(Box::new(rule)), ..State::default() };
    }

    /// Waits until a request is held.
    pub fn wait_for_held(&self) {
        let state = self.state.0.lock().unwrap();
        let waited = self
            .state
            .1
            .wait_timeout_while(state, Duration::from_secs(180), |state| state.held == 0)
            .unwrap();
        assert!(!waited.1.timed_out(), "no request was held");
    }

    /// Releases all held requests.
    pub fn release(&self) {
        self.state.0.lock().unwrap().released = true;
        self.state.1.notify_all();
    }
}

fn serve(mut client: &TcpStream, store: &str, state: &(Mutex<State>, Condvar)) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        if !lower.starts_with("connection:") {
            head.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;

    let action = match &mut state.0.lock().unwrap().rule {
        Some(rule) => rule(&head),
        None => Action::Forward,
    };
    match action {
        Action::Forward => {}
        Action::Deny => {
            let answer = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
            return write!(
                client,
                "HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{answer}",
                answer.len()
            );
        }
        Action::Hold => {
            let mut held = state.0.lock().unwrap();
            held.held += 1;
            state.1.notify_all();
            drop(state.1.wait_while(held, |state| !state.released).unwrap());
        }
    }
    let mut server = TcpStream::connect(store)?;
    server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    server.write_all(&body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    client.write_all(&answer)
}
