//! Chromium without a window, driven through `chromedriver` by the WebDriver protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

use super::home::Home;
use super::programs;
use super::server::ProcessGroup;

/// The limit for things that are due soon. It only ends a test that would hang.
const LIMIT: Duration = Duration::from_secs(20);

/// A browser with one page. It ends when it is dropped, and after the test binary has ended.
pub(crate) struct Browser {
    port: u16,
    session: String,
    driver: Child,
    home: Home,
}

/// What a page is looked at with.
#[derive(Clone, Copy, Default)]
pub(crate) struct Looks {
    pub(crate) is_dark: bool,
    /// Whether scripts do not run.
    pub(crate) is_without_scripts: bool,
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// If Chromium or its driver is not installed. The message says how to get it.
    pub(crate) fn start(looks: Looks) -> Self {
        let program = |name: &str| {
            programs::find(name).unwrap_or_else(|| {
                panic!(
                    "this test needs a browser, and `{name}` is not installed.\n\
                     Run ./tests/run.sh --browser, which installs it where it can; or \
                     `apt-get install chromium chromium-driver`"
                )
            })
        };
        let (chromium, driver) = (program("chromium"), program("chromedriver"));
        let home = Home::of_files();
        // `exec` replaces the shell, so the process id that the watchdog reads is the driver's.
        let mut driver = home
            .command(Path::new("/bin/sh"))
            .args(["-c", "echo $$ > pid && exec \"$@\"", "driver"])
            .arg(driver)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(home.log())
            .process_group_of_its_own()
            .spawn()
            .expect("a POSIX shell");
        let lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let port = port.expect("the driver says on which port it listens");
        let mut browser = Self { port, session: String::new(), driver, home };
        browser.open_session(&chromium, looks);
        browser
    }

    fn open_session(&mut self, chromium: &Path, looks: Looks) {
        let profile = self.home.path().join("profile");
        let mut arguments = vec![
            "--headless=new".to_owned(),
            // Its sandbox refuses to run as root, and knows no container.
            "--no-sandbox".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--no-proxy-server".to_owned(),
            "--no-first-run".to_owned(),
            // It ends when the driver does, also if that is killed.
            "--remote-debugging-pipe".to_owned(),
            format!("--user-data-dir={}", profile.display()),
        ];
        if looks.is_dark {
            arguments.push("--blink-settings=preferredColorScheme=0".to_owned());
        }
        let mut preferences = json!({});
        if looks.is_without_scripts {
            preferences = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let options = json!({ "binary": chromium, "args": arguments, "prefs": preferences });
        let wanted =
            json!({ "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let answer =
            self.send("POST", "/session", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        self.session = answer["sessionId"].as_str().expect("a session").to_owned();
    }

    /// Loads a page.
    pub(crate) fn go(&self, url: &str) {
        self.command("POST", "/url", &json!({ "url": url }));
    }

    /// The value of an expression of JavaScript in the page.
    pub(crate) fn eval(&self, expression: &str) -> Value {
        let script = format!("return {expression}");
        self.command("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The same as text.
    pub(crate) fn text(&self, expression: &str) -> String {
        let value = self.eval(expression);
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    /// Waits until an expression is true.
    ///
    /// # Panics
    ///
    /// After twenty seconds.
    pub(crate) fn until(&self, expression: &str) {
        let deadline = Instant::now() + LIMIT;
        while self.eval(&format!("!!({expression})")) != json!(true) {
            let page = self.text("document.body.innerText");
            assert!(Instant::now() < deadline, "not so: {expression}\n{page}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub(crate) fn press(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key })))
            .collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.command("POST", "/actions", &json!({ "actions": [keyboard] }));
    }

    /// Makes the page as wide and high as a screen of that size.
    pub(crate) fn screen(&self, width: u32, height: u32) {
        let metrics = json!({
            "cmd": "Emulation.setDeviceMetricsOverride",
            "params": { "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false },
        });
        self.command("POST", "/goog/cdp/execute", &metrics);
    }

    /// Writes a picture of what the screen shows.
    pub(crate) fn picture(&self, file: &Path) {
        let answer = self.command("GET", "/screenshot", &Value::Null);
        let text = answer.as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("Base64");
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, bytes).expect("a file");
    }

    /// What the browser has complained of since it was asked last: errors of scripts, and what the page's policy refuses.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.command("POST", "/se/log", &json!({ "type": "browser" }));
        let entries = log.as_array().cloned().unwrap_or_default();
        entries.iter().map(ToString::to_string).collect()
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.send(method, &format!("/session/{}{path}", self.session), body)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = exchange(self.port, method, path, body).expect("the driver answers");
        let value = answer["value"].clone();
        assert!(value.get("error").is_none(), "{method} {path}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let path = format!("/session/{}", self.session);
        let _ = exchange(self.port, "DELETE", &path, &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        // The process id may be reused soon.
        let _ = std::fs::remove_file(self.home.path().join("pid"));
    }
}

/// Sends one request to the driver, and returns the body of its response.
fn exchange(port: u16, method: &str, path: &str, body: &Value) -> std::io::Result<Value> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        answer.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(figure) = line.strip_prefix("content-length:") {
            length = figure.trim().parse().map_err(std::io::Error::other)?;
        }
    }
    let mut bytes = vec![0; length];
    answer.read_exact(&mut bytes)?;
    serde_json::from_slice(&bytes).map_err(std::io::Error::other)
}
