//! Browser: a real chromium, driven by its DevTools protocol.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket};

const PATIENCE: Duration = Duration::from_secs(20);

/// A browser with one tab.
pub(super) struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    session: String,
    number: u64,
    /// What went wrong on a page: exceptions, refused loads, and dialogs, which no page of ours opens.
    pub(super) faults: Vec<String>,
    _home: tempfile::TempDir,
}

/// Finds chromium; `None`, with a line that says so, where there is none.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let all = std::env::split_paths(&path).flat_map(|at| names.map(|name| at.join(name)));
    let found = all.into_iter().find(|path| path.is_file());
    if found.is_none() {
        let is_required = std::env::var("REBEAM_BROWSER").is_ok_and(|value| value == "required");
        assert!(!is_required, "REBEAM_BROWSER=required, and there is no chromium");
        eprintln!("skipped: there is no chromium to open the page in");
    }
    found
}

impl Browser {
    pub(super) fn start() -> Option<Self> {
        let program = program()?;
        let home = tempfile::tempdir().unwrap();
        let child = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"])
            .args(["--remote-debugging-port=0", "--disable-dev-shm-usage", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", home.path().display()))
            .arg("about:blank")
            .env("HOME", home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (port, path) = debugger(home.path());
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let address = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = tokio_tungstenite::tungstenite::client(address, stream).unwrap();
        let mut browser = Self {
            child,
            socket,
            session: String::new(),
            number: 0,
            faults: Vec::new(),
            _home: home,
        };
        let tab = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let tab = json!({"targetId": tab["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", tab);
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Calls a method and waits for its result.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        let answer = self.ask(method, parameters);
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Calls a method and waits for its answer, whatever that is.
    fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut request = json!({"id": self.number, "method": method, "params": parameters});
        if !self.session.is_empty() {
            request["sessionId"] = self.session.as_str().into();
        }
        self.socket.send(Message::text(request.to_string())).unwrap();
        loop {
            let answer = self.socket.read().unwrap();
            let answer: Value = serde_json::from_str(answer.to_text().unwrap()).unwrap();
            if answer["id"] == self.number {
                return answer;
            }
            self.note(&answer);
        }
    }

    fn note(&mut self, event: &Value) {
        let parameters = &event["params"];
        let is_error = parameters["entry"]["level"] == "error";
        match event["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Page.javascriptDialogOpening") => {
                self.faults.push(parameters.to_string());
            }
            Some("Log.entryAdded") if is_error => self.faults.push(parameters.to_string()),
            _ => {}
        }
    }

    /// Sets how large the screen is, and whether it is dark.
    pub(super) fn screen(&mut self, (width, height): (u32, u32), scheme: &str) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let feature = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": feature}));
    }

    /// Turns the script off, or on again.
    pub(super) fn script(&mut self, is_on: bool) {
        self.call("Emulation.setScriptExecutionDisabled", json!({"value": !is_on}));
    }

    pub(super) fn open(&mut self, address: &str) {
        let opened = self.call("Page.navigate", json!({"url": address}));
        assert!(opened["errorText"].is_null(), "{address}: {opened}");
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// Evaluates an expression.
    pub(super) fn see(&mut self, expression: &str) -> Value {
        self.call("Runtime.evaluate", evaluated(expression))["result"]["value"].clone()
    }

    /// Tells whether an expression is true now. On a page that is just being left, none is.
    fn holds(&mut self, expression: &str) -> bool {
        let answer = self.ask("Runtime.evaluate", evaluated(expression));
        let error = &answer["error"]["message"];
        assert!(error.is_null() || *error == "Inspected target navigated or closed", "{answer}");
        answer["result"]["result"]["value"] == true
    }

    /// Waits until an expression is true.
    pub(super) fn until(&mut self, expression: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.holds(expression) {
            let text = "document.documentElement.outerHTML.slice(0, 20000)";
            assert!(Instant::now() < end, "never: {expression}\n{}", self.see(text));
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Presses a key that writes itself, or one that has a name.
    pub(super) fn press(&mut self, key: &str) {
        let mut down = json!({"type": "keyDown", "key": key});
        if key == "Enter" {
            down["text"] = "\r".into();
        } else if key.chars().count() == 1 {
            down["text"] = key.into();
        }
        self.call("Input.dispatchKeyEvent", down);
        self.call("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key}));
    }

    pub(super) fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Takes a picture of the screen.
    pub(super) fn picture(&mut self, path: &Path) {
        use base64::Engine as _;
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let data = picture["data"].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// What evaluates an expression to its value.
fn evaluated(expression: &str) -> Value {
    json!({"expression": expression, "returnByValue": true})
}

/// Waits until the browser says where it is spoken to.
fn debugger(home: &Path) -> (u16, String) {
    let end = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(home.join("DevToolsActivePort")).unwrap_or_default();
        if let Some((port, path)) = text.split_once('\n')
            && !path.is_empty()
        {
            return (port.parse().unwrap(), path.trim().to_owned());
        }
        assert!(Instant::now() < end, "the browser never said where it listens");
        std::thread::sleep(Duration::from_millis(30));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own way to end takes its other processes along.
        let close = json!({"id": 0, "method": "Browser.close"});
        drop(self.socket.send(Message::text(close.to_string())));
        let end = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
