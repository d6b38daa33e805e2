//! Chromium without a window, driven by its debugging protocol: messages of JSON that end with a zero byte.

use std::collections::VecDeque;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// The time after which a test that waits for the browser fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the program: the one that `BRIMFUL_CHROMIUM` names, or `chromium` on the path. `cargo xtask test` looks for it
/// in the same places, and reports the skipped test.
pub(crate) fn chromium() -> Option<PathBuf> {
    if let Some(program) = env::var_os("BRIMFUL_CHROMIUM").filter(|program| !program.is_empty()) {
        return Some(program.into());
    }
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join("chromium")).find(|program| program.is_file())
}

/// A page in a browser of its own.
pub(crate) struct Page {
    browser: Child,
    /// Taken when the browser is closed.
    commands: Option<ChildStdin>,
    messages: Receiver<Value>,
    /// The messages that are no answers.
    events: VecDeque<Value>,
    session: Value,
    last: u64,
    profile: PathBuf,
}

impl Page {
    /// Starts the browser and loads a page.
    pub(crate) fn open(program: &Path, url: &str) -> Self {
        let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chromium-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&profile);
        // The browser reads commands from the file 3, and writes messages to the file 4.
        let mut browser = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 >/dev/null"])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let commands = browser.stdin.take();
        let mut output = BufReader::new(browser.stdout.take().expect("a pipe"));
        let (tell, messages) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                let text = message.strip_suffix(b"\0").unwrap_or(&message);
                if tell.send(serde_json::from_slice(text).expect("JSON")).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let events = VecDeque::new();
        let mut page = Page { browser, commands, messages, events, session: Value::Null, last: 0, profile };
        let target = page.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let attached = page.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        page.session = attached["sessionId"].clone();
        page.call("Page.enable", json!({}));
        page.call("Runtime.enable", json!({}));
        page.size(1_000, 1_000);
        page.call("Page.navigate", json!({ "url": url }));
        page.until("document.readyState", "\"complete\"");
        page
    }

    /// Calls a method of the protocol, and returns its result.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut command = json!({ "id": self.last, "method": method, "params": params });
        if !self.session.is_null() {
            command["sessionId"] = self.session.clone();
        }
        let pipe = self.commands.as_mut().expect("the browser is not closed");
        pipe.write_all(format!("{command}\0").as_bytes()).expect("the browser runs");
        loop {
            let message = self.messages.recv_timeout(PATIENCE).expect("the browser answers");
            if message["id"] == self.last {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.events.push_back(message);
        }
    }

    /// Returns the value of an expression of JavaScript.
    pub(crate) fn json(&mut self, expression: &str) -> Value {
        let result = self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until an expression has this value, in JSON.
    pub(crate) fn until(&mut self, expression: &str, expected: &str) {
        let (expected, begun): (Value, _) = (serde_json::from_str(expected).expect("JSON"), Instant::now());
        loop {
            let value = self.json(expression);
            if value == expected {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{expression} is {value}, and not {expected}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses the mouse on the element with this selector.
    pub(crate) fn press(&mut self, selector: &str) {
        let place = format!(
            "(({{ x, y, width, height }}) => [x + width / 2, y + height / 2])\
             (document.querySelector('{selector}').getBoundingClientRect())"
        );
        let place = self.json(&place);
        for kind in ["mousePressed", "mouseReleased"] {
            let (x, y) = (&place[0], &place[1]);
            let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Returns the errors of the page's script.
    pub(crate) fn errors(&mut self) -> Vec<String> {
        self.events.extend(self.messages.try_iter());
        let thrown = self.events.drain(..).filter(|event| event["method"] == "Runtime.exceptionThrown");
        thrown.map(|event| event["params"]["exceptionDetails"].to_string()).collect()
    }

    /// Writes what the page looks like on a light or a dark screen of this width.
    pub(crate) fn screenshot(&mut self, scheme: &str, width: u32, path: &Path) {
        self.size(width, 1_000);
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", media);
        let shot = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": true }));
        let bytes = BASE64_STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("base 64");
        std::fs::write(path, bytes).expect("a folder that can be written");
    }

    fn size(&mut self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // The browser ends its other processes, and then itself.
        if let Some(mut commands) = self.commands.take() {
            let _ = commands.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        }
        while self.messages.recv_timeout(Duration::from_secs(5)).is_ok() {}
        let _ = self.browser.kill();
        let _ = self.browser.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
