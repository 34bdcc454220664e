//! Server-sent events: what has changed, not how. Pages fetch again what they show.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::serve::changes::Revisions;
use crate::serve::http::Response;
use crate::serve::state::State;

/// Time after which a comment shows that the connection still exists.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Returns the events `store` and `workspace`, each with a number that grows.
///
/// The first of each comes at once, so a page that lost its connection looks again.
pub(super) async fn stream(state: &State) -> Response {
    let (sender, pieces) = mpsc::channel(8);
    let mut revisions = state.revisions().await;
    let stopped = state.until_stopped();
    tokio::task::spawn_local(async move {
        let mut stopped = std::pin::pin!(stopped);
        let mut sent: Option<Revisions> = None;
        loop {
            let now = *revisions.borrow_and_update();
            if sender.send(news(sent.replace(now), now).into()).await.is_err() {
                return;
            }
            tokio::select! {
                changed = revisions.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(HEARTBEAT) => {}
                () = sender.closed() => return,
                () = &mut stopped => return,
            }
        }
    });
    Response::sse(pieces)
}

/// Returns the events for what differs; a comment if nothing does.
fn news(before: Option<Revisions>, now: Revisions) -> String {
    let mut text = String::new();
    for (event, of) in
        [("store", (|all| all.store) as fn(Revisions) -> u64), ("workspace", |all| all.workspace)]
    {
        let revision = of(now);
        if before.map(of) != Some(revision) {
            text += &format!("event: {event}\ndata: {{\"revision\": {revision}}}\n\n");
        }
    }
    if text.is_empty() { ":\n\n".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_news_is_sent() {
        let [first, second] = [3, 4].map(|store| Revisions { store, workspace: 7 });
        let store = |number| format!("event: store\ndata: {{\"revision\": {number}}}\n\n");
        let workspace = "event: workspace\ndata: {\"revision\": 7}\n\n";
        assert_eq!(news(None, first), store(3) + workspace);
        assert_eq!(news(Some(first), second), store(4));
        assert_eq!(news(Some(second), second), ":\n\n");
    }
}
