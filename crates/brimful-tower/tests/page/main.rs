//! The page of the example `axum_api`, in a browser.

#[path = "../../examples/axum_api/api.rs"]
mod api;
mod browser;
#[path = "../../examples/axum_api/live.rs"]
mod live;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use brimful::MockClock;
use tokio::net::TcpListener;

use api::Api;
use browser::{Page, chromium};

/// Serves the example on a thread of its own, and returns its address.
fn serve(api: &Arc<Api<MockClock>>) -> SocketAddr {
    let (app, (tell, address)) = (api.router(), std::sync::mpsc::channel());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            tell.send(listener.local_addr().expect("an address")).expect("the test runs");
            axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
        })
    });
    address.recv().expect("the server runs")
}

/// The requests on the page, by their outcome.
const SQUARES: &str =
    "['admitted', 'refused', 'failed'].map(name => document.querySelectorAll(`#requests .${name}`).length)";
/// The counts on the page.
const COUNTS: &str = "['admitted', 'refused', 'failed'].map(name => Number(document.getElementById(name).textContent))";
/// The levels of the buckets of the address and of the key.
const LEVELS: &str = "['address', 'key'].map(name => document.querySelector(`#${name} .level`).textContent)";
/// The last answer: its status, and its headers as an object.
const STATUS: &str = "document.getElementById('status').textContent";
const HEADERS: &str = "Object.fromEntries([...document.querySelectorAll('#headers tr')].map(row => [...row.children].map(cell => cell.textContent)))";

/// Waits until the counts on the page are these, and compares them with the squares and with the server's counts.
fn counted(page: &mut Page, api: &Api<MockClock>, admitted: u64, refused: u64) {
    page.until(COUNTS, &format!("[{admitted},{refused},0]"));
    assert_eq!(page.json(SQUARES), page.json(COUNTS));
    assert_eq!((api.served(), api.refused()), (admitted, refused));
}

#[test]
fn the_page_shows_what_the_server_counts() {
    let Some(program) = chromium() else {
        println!("SKIPPED: there is no chromium, so the page was not looked at");
        return;
    };
    let clock = MockClock::new();
    let api = Api::new(clock.clone());
    let mut page = Page::open(&program, &format!("http://{}/", serve(&api)));
    page.until(LEVELS, r#"["40.0 of 40","10.0 of 10"]"#);

    page.press("#one");
    counted(&mut page, &api, 1, 0);
    page.until(LEVELS, r#"["39.0 of 40","9.0 of 10"]"#);
    assert_eq!(page.json(STATUS), "200");

    // Nine tokens are left, and a request that the key's bucket refuses has taken one of the address.
    page.press("#burst");
    counted(&mut page, &api, 10, 11);
    page.until(LEVELS, r#"["19.0 of 40","0.0 of 10"]"#);

    clock.advance(Duration::from_millis(100));
    page.press("#one");
    counted(&mut page, &api, 10, 12);
    let headers = page.json(HEADERS);
    assert_eq!(page.json(STATUS), "429");
    assert_eq!((&headers["retry-after"], &headers["content-type"]), (&"1".into(), &"application/problem+json".into()));
    // The limit of the address has admitted the request, and adds nothing to the refusal.
    assert_eq!(headers["ratelimit"], r#""free";r=0;t=1"#);
    assert_eq!(headers["ratelimit-policy"], r#""free";q=10;w=10"#);

    clock.advance(Duration::from_millis(4_900));
    page.until(LEVELS, r#"["40.0 of 40","5.0 of 10"]"#);
    page.press("input[value=pro-key] + span");
    page.until(LEVELS, r#"["40.0 of 40","30.0 of 30"]"#);
    page.press("#stream");
    page.until(&format!("{COUNTS}[0] >= 16"), "true");
    page.press("#stream");
    page.until("document.getElementById('open').textContent", "\"0\"");
    let admitted = page.json(COUNTS)[0].as_u64().expect("a count");
    counted(&mut page, &api, admitted, 12);
    let streamed = admitted - 10;
    page.until(LEVELS, &format!(r#"["{}.0 of 40","{}.0 of 30"]"#, 40 - streamed, 30 - streamed));
    assert_eq!(page.json(STATUS), "200");

    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (scheme, width) in [("light", 1_000), ("dark", 1_000), ("light", 400)] {
        page.screenshot(scheme, width, &folder.join(format!("axum_api-{scheme}-{width}.png")));
    }
    assert_eq!(page.errors(), [""; 0]);
}
