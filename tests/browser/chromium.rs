//! One browser with a person before it, driven through WebDriver: whatever is looked for is waited for.

use std::fs::{self, File};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::wd::WindowHandle;
use fantoccini::{Client, ClientBuilder, Locator};
use portcullis_tests::process::Process;
use portcullis_tests::{repository, tls};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

/// How long a person waits for anything: a machine of two cores starts servers meanwhile.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the browser is held in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    Desktop,
    Phone,
}

/// A browser. Dropping it ends it, and whatever it started.
pub(crate) struct Chromium {
    client: Client,
    shots: PathBuf,
    taken: AtomicUsize,
    /// Chromium ends when its pipe to the driver does, and the driver with this value.
    _driver: Process,
    _profile: TempDir,
}

/// ChromeDriver: `$CHROMEDRIVER`, or the one in the path. It finds Chromium by itself.
pub(crate) fn find_driver() -> Result<PathBuf, String> {
    if let Some(chosen) = std::env::var_os("CHROMEDRIVER").map(PathBuf::from) {
        return if chosen.is_file() {
            Ok(chosen)
        } else {
            Err(format!("CHROMEDRIVER names no file: {}", chosen.display()))
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|place| place.join("chromedriver")).find(|file| file.is_file());
    found.ok_or_else(|| {
        "chromedriver is not in the path: install it (Debian: chromium chromium-driver), or set CHROMEDRIVER"
            .to_owned()
    })
}

impl Chromium {
    /// Starts a browser for which all of `*.csp.com` is this port of this machine, and nothing else is anywhere.
    pub(crate) async fn start(port: u16, device: Device) -> Self {
        let profile = tempfile::Builder::new().prefix("portcullis-chromium-").tempdir();
        let profile = profile.expect("a temporary directory");
        let (driver, webdriver) = start_driver(profile.path()).await;
        let capabilities = capabilities(profile.path(), port, device);
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&webdriver)
            .await
            .unwrap_or_else(|e| panic!("Chromium does not start: {e}"));
        if device == Device::Desktop {
            client.set_window_size(1100, 1150).await.expect("a window has a size");
        }
        let thread = std::thread::current();
        let test = thread.name().and_then(|name| name.rsplit("::").next()).unwrap_or("test").to_owned();
        let shots = repository().join("target/browser").join(test);
        fs::create_dir_all(&shots).expect("target is ours to write");
        Self { client, shots, taken: AtomicUsize::new(1), _driver: driver, _profile: profile }
    }

    /// Goes to a URL.
    pub(crate) async fn open(&self, url: &str) {
        self.done(&format!("{url} opens"), self.client.goto(url)).await;
    }

    /// Presses the back button.
    pub(crate) async fn back(&self) {
        self.done("the browser goes back", self.client.back()).await;
    }

    /// Forgets the cookies of the site that is open.
    pub(crate) async fn forget_cookies(&self) {
        self.done("cookies are forgotten", self.client.delete_all_cookies()).await;
    }

    /// Opens another tab, in front, at a URL; the tab that was in front.
    pub(crate) async fn open_tab(&self, url: &str) -> WindowHandle {
        let before = self.client.window().await.expect("a tab is open");
        let tab = self.client.new_window(true).await.expect("a tab opens");
        self.switch_to(&tab.handle).await;
        self.open(url).await;
        before
    }

    /// Puts a tab in front.
    pub(crate) async fn switch_to(&self, tab: &WindowHandle) {
        self.done("the tab comes to the front", self.client.switch_to_window(tab.clone())).await;
    }

    /// Keeps a picture of what is to be seen.
    pub(crate) async fn shot(&self, name: &str) {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        let picture = self.client.screenshot().await.expect("the browser shows something");
        let file = self.shots.join(format!("{number:02}-{name}.png"));
        fs::write(&file, picture).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }

    /// Clicks on what this selector finds.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.visible(selector).await;
        self.done(&format!("{selector} is clicked"), element.click()).await;
    }

    /// Types into a field, in place of what is there.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let element = self.visible(selector).await;
        self.done(&format!("{selector} is emptied"), element.clear()).await;
        self.done(&format!("{selector} is filled"), element.send_keys(text)).await;
    }

    /// Waits until what this selector finds shows this text, among others.
    pub(crate) async fn shows(&self, selector: &str, text: &str) {
        let what = format!("{selector} shows {text:?}");
        self.until(&what, async || {
            // It may be replaced at any moment.
            let element = self.client.find(Locator::Css(selector)).await.ok()?;
            element.text().await.ok()?.contains(text).then_some(())
        })
        .await;
    }

    /// Waits until the address bar shows an address that begins so.
    pub(crate) async fn arrives(&self, start: &str) {
        let what = format!("the browser arrives at {start}");
        self.until(&what, async || {
            self.client.current_url().await.ok()?.as_str().starts_with(start).then_some(())
        })
        .await;
    }

    /// What this selector finds, once it is to be seen.
    pub(crate) async fn visible(&self, selector: &str) -> Element {
        self.until(&format!("{selector} is to be seen"), async || {
            let element = self.client.find(Locator::Css(selector)).await.ok()?;
            element.is_displayed().await.ok()?.then_some(element)
        })
        .await
    }

    /// The status and the JSON of what a script of the page that is open gets.
    pub(crate) async fn fetch(&self, path: &str) -> (u64, Value) {
        const SCRIPT: &str = "const [path, done] = arguments
            fetch(path).then(async r => done([r.status, await r.json().catch(() => null)]), e => done([0, String(e)]))";
        let answer = self.client.execute_async(SCRIPT, vec![json!(path)]).await;
        let answer = answer.unwrap_or_else(|e| panic!("{path}: {e}"));
        (answer[0].as_u64().unwrap_or_default(), answer[1].clone())
    }

    /// What a script of the page that is open returns.
    pub(crate) async fn script(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|e| panic!("{script}: {e}"))
    }

    /// Nothing on the page is wider than the screen.
    pub(crate) async fn fits(&self) {
        let over = self
            .script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            .await;
        let url = self.client.current_url().await;
        assert_eq!(over, json!(0), "{url:?} is wider than the screen");
    }

    /// The names of the cookies of the site that is open.
    pub(crate) async fn cookies(&self) -> Vec<String> {
        let cookies = self.client.get_all_cookies().await.expect("a page is open");
        cookies.iter().map(|cookie| cookie.name().to_owned()).collect()
    }

    /// Waits until something is so.
    pub(crate) async fn until<T>(&self, what: &str, so: impl AsyncFn() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = so().await {
                return found;
            }
            if Instant::now() > deadline {
                self.fail(what).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn done(&self, what: &str, command: impl Future<Output = Result<(), CmdError>>) {
        if let Err(e) = command.await {
            self.fail(&format!("{what}: {e}")).await;
        }
    }

    async fn fail(&self, what: &str) -> ! {
        self.shot("failure").await;
        let url = self.client.current_url().await.map_or_else(|e| e.to_string(), |url| url.to_string());
        let body = self.client.find(Locator::Css("body")).await;
        let text = match body {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(e) => e.to_string(),
        };
        panic!("in vain: {what}\nat {url}\n{text}");
    }
}

async fn start_driver(profile: &Path) -> (Process, String) {
    let file = profile.join("driver.log");
    let log = File::create(&file).expect("the directory is ours to write");
    let driver = find_driver().unwrap_or_else(|e| panic!("{e}"));
    let child =
        Command::new(driver).arg("--port=0").stdin(Stdio::null()).stdout(log).stderr(Stdio::null()).spawn();
    let mut process =
        child.and_then(Process::leashed).unwrap_or_else(|e| panic!("ChromeDriver does not run: {e}"));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let said = fs::read_to_string(&file).unwrap_or_default();
        let port = said.split("started successfully on port ").nth(1).and_then(|rest| rest.split('.').next());
        if let Some(port) = port {
            return (process, format!("http://127.0.0.1:{port}"));
        }
        assert!(process.ended().is_none() && Instant::now() < deadline, "ChromeDriver says {said:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn capabilities(profile: &Path, port: u16, device: Device) -> serde_json::Map<String, Value> {
    let arguments = [
        "--headless=new".to_owned(),
        // Its sandbox is not to be had as root; the pages are all our own.
        "--no-sandbox".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-background-networking".to_owned(),
        "--no-first-run".to_owned(),
        "--remote-debugging-pipe".to_owned(),
        format!("--user-data-dir={}", profile.join("profile").display()),
        format!("--host-resolver-rules=MAP *.csp.com 127.0.0.1:{port}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
        format!("--ignore-certificate-errors-spki-list={}", tls::authority_pin()),
    ];
    let mut options = json!({"args": arguments, "prefs": {"credentials_enable_service": false}});
    if device == Device::Phone {
        let metrics = json!({"width": 390, "height": 844, "pixelRatio": 2.0, "touch": true});
        options["mobileEmulation"] = json!({"deviceMetrics": metrics});
    }
    let capabilities = json!({"browserName": "chrome", "goog:chromeOptions": options});
    capabilities.as_object().cloned().unwrap_or_default()
}
