//! The examples that end by themselves.

#[allow(dead_code, reason = "its `main`")]
#[path = "../../examples/failed_logins.rs"]
mod failed_logins;

use super::server::soon;

#[tokio::test]
async fn only_failed_logins_are_counted() {
    let statuses = soon(failed_logins::run()).await.unwrap();
    assert_eq!(statuses, [[204; 10].as_slice(), &[401; 5], &[429; 2]].concat());
}
