//! A bounded queue of events from the thread that emits them to the one that writes them. The
//! writer takes many at once, and sleeps until it has something to do: waking it for each event
//! costs more than writing one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::event::Event;

/// Number of events for which the writer is woken before they are due.
pub(super) const BATCH: usize = 10_000;
/// Maximum number of events. A sender that outruns the disk blocks instead of growing memory.
const CAPACITY: usize = 2 * BATCH;
/// Maximum age of an event before it is written, that is, the delay that a reader sees.
pub(super) const DELAY: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    /// Wakes the writer.
    due: Condvar,
    /// Wakes the sender.
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    /// Time of the first event in the queue.
    since: Option<Instant>,
    has_milestone: bool,
    /// The sender or the receiver is gone.
    is_closed: bool,
}

/// Creates a queue.
pub(super) fn queue() -> (Sender, Receiver) {
    let queue = Arc::new(Queue::default());
    (Sender(Arc::clone(&queue)), Receiver(queue))
}

#[derive(Debug)]
pub(super) struct Sender(Arc<Queue>);

#[derive(Debug)]
pub(super) struct Receiver(Arc<Queue>);

/// Events that were taken from a queue.
#[derive(Debug)]
pub(super) struct Taken {
    pub events: Vec<Event>,
    /// Time at which they must be written.
    pub due: Option<Instant>,
    /// No more will follow.
    pub is_last: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.state().is_closed = true;
        self.due.notify_all();
        self.room.notify_all();
    }
}

impl State {
    /// Returns when the events must be written, if others must be written at `due` and the last
    /// ones were at `flushed`: a milestone at once, unless that was less than [`DELAY`] ago, and
    /// others after [`DELAY`].
    fn due(&self, due: Option<Instant>, flushed: Option<Instant>) -> Option<Instant> {
        let since = self.since?;
        let at_once = self.has_milestone.then(|| flushed.map_or(since, |at| at + DELAY));
        [due, at_once, Some(since + DELAY)].into_iter().flatten().min()
    }
}

impl Sender {
    /// Adds an event; waits while the queue is full. Without a receiver, the event is lost.
    pub(super) fn send(&self, event: Event) {
        let mut state = self.0.state();
        while state.events.len() >= CAPACITY && !state.is_closed {
            state = self.0.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_closed {
            return;
        }
        let is_milestone = is_milestone(&event);
        state.events.push(event);
        state.has_milestone |= is_milestone;
        if state.since.is_none() {
            state.since = Some(Instant::now());
        } else if !is_milestone && state.events.len() != BATCH {
            return;
        }
        self.0.due.notify_one();
    }
}

impl Receiver {
    /// Waits until there is a batch of events, or until it is time to write those that there are or
    /// those that the caller must write at `due`.
    pub(super) fn take(&self, due: Option<Instant>, flushed: Option<Instant>) -> Taken {
        let mut state = self.0.state();
        loop {
            let due = state.due(due, flushed).or(due);
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            let is_due = left.is_some_and(|left| left.is_zero());
            if is_due || state.is_closed || state.events.len() >= BATCH {
                let events = std::mem::take(&mut state.events);
                (state.since, state.has_milestone) = (None, false);
                self.0.room.notify_all();
                return Taken { events, due, is_last: state.is_closed };
            }
            state = match left {
                None => self.0.due.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.0.due.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Reports whether readers of the database should see the event at once.
fn is_milestone(event: &Event) -> bool {
    matches!(
        event,
        Event::RunStarted { .. }
            | Event::StageStarted { .. }
            | Event::StageEnded { .. }
            | Event::RunEnded { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(since: Instant, has_milestone: bool) -> State {
        State { since: Some(since), has_milestone, ..State::default() }
    }

    #[test]
    fn times_of_writing() {
        let now = Instant::now();
        let (soon, late) = (now + DELAY / 4, now + 4 * DELAY);
        for (has_milestone, due, flushed, expected) in [
            (false, None, None, now + DELAY),
            (false, Some(soon), None, soon),
            (false, Some(late), Some(now), now + DELAY),
            (true, None, None, now),
            (true, Some(soon), Some(now), soon),
            (true, None, Some(now - DELAY / 2), now + DELAY / 2),
        ] {
            assert_eq!(state(now, has_milestone).due(due, flushed), Some(expected));
        }
        assert_eq!(State::default().due(Some(now), None), None);
    }

    #[test]
    fn full_batch_is_taken() {
        let (sender, receiver) = queue();
        (0..BATCH).for_each(|_| sender.send(Event::Stopping));
        let taken = receiver.take(Some(Instant::now() + Duration::from_secs(3600)), None);
        assert_eq!((taken.events.len(), taken.is_last), (BATCH, false));
        sender.send(Event::Stopping);
        drop(sender);
        let taken = receiver.take(None, None);
        assert_eq!((taken.events.len(), taken.is_last), (1, true));
    }

    #[test]
    fn lost_receiver_blocks_nobody() {
        let (sender, receiver) = queue();
        (0..CAPACITY).for_each(|_| sender.send(Event::Stopping));
        drop(receiver);
        sender.send(Event::Stopping);
    }
}
