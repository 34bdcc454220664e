//! How long to wait before a new attempt, and when to give up. Knows nothing about what is attempted.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime};

/// Attempts in a row that bring nothing new, and attempts in all.
const FRUITLESS: u32 = 5;
const ATTEMPTS: u32 = 200;

/// The longest wait of its own, and the longest that a server may ask for.
const LONGEST: Duration = Duration::from_secs(60);
const MOST_ASKED: Duration = Duration::from_secs(15 * 60);

/// The attempts at one thing so far.
#[derive(Debug)]
pub(crate) struct Retry {
    first: Duration,
    wait: Duration,
    fruitless: u32,
    attempts: u32,
}

impl Retry {
    /// `first` is the wait after the first attempt that brings nothing; it doubles with each.
    pub(crate) fn new(first: Duration) -> Retry {
        Retry { first, wait: first, fruitless: 0, attempts: 0 }
    }

    /// The wait after an attempt that failed. `asked` is what the server asked for, `jitter` from 0 to 1: as
    /// many clients that broke off at once should not come back at once.
    ///
    /// # Errors
    /// Why there should be no other attempt.
    pub(crate) fn after(
        &mut self,
        brought_something: bool,
        asked: Option<Duration>,
        jitter: f64,
    ) -> Result<Duration, String> {
        self.attempts += 1;
        if let Some(asked) = asked.filter(|asked| *asked > MOST_ASKED) {
            return Err(format!("the server asks to wait for {} s", asked.as_secs()));
        }
        if self.attempts == ATTEMPTS {
            return Err(format!("it broke off {ATTEMPTS} times"));
        }
        if brought_something {
            (self.fruitless, self.wait) = (0, self.first);
            return Ok(asked.unwrap_or_default());
        }
        self.fruitless += 1;
        if self.fruitless == FRUITLESS {
            return Err(format!("{FRUITLESS} attempts in a row failed"));
        }
        let own = self.wait.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        self.wait = (self.wait * 2).min(LONGEST);
        Ok(asked.unwrap_or_default().max(own))
    }
}

/// A number from 0 to 1, another one each time.
pub(crate) fn jitter() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

/// What `Retry-After` says: seconds, or a date.
pub(crate) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // A date that is past asks for no wait.
    Some(httpdate::parse_http_date(header).ok()?.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_until_it_gives_up_and_start_over_after_a_success() {
        let mut retry = Retry::new(SECOND);
        let mut after = |brought, asked, jitter| retry.after(brought, asked, jitter);
        assert_eq!(after(false, None, 1.0), Ok(SECOND));
        assert_eq!(after(false, None, 0.0), Ok(SECOND));
        assert_eq!(after(false, None, 1.0), Ok(SECOND * 4));
        assert_eq!(after(true, None, 1.0), Ok(Duration::ZERO));
        assert_eq!(after(false, None, 1.0), Ok(SECOND));
        assert_eq!(after(false, Some(SECOND * 30), 1.0), Ok(SECOND * 30));
        assert_eq!(after(false, Some(SECOND), 1.0), Ok(SECOND * 4));
        assert_eq!(after(false, None, 1.0), Ok(SECOND * 8));
        assert_eq!(after(false, None, 1.0), Err("5 attempts in a row failed".to_owned()));
    }

    #[test]
    fn no_wait_is_longer_than_a_minute_unless_asked_for_and_none_than_a_quarter_of_an_hour() {
        let mut retry = Retry::new(SECOND * 50);
        assert_eq!(retry.after(false, None, 1.0), Ok(SECOND * 50));
        assert_eq!(retry.after(false, None, 1.0), Ok(SECOND * 60));
        assert_eq!(retry.after(false, Some(SECOND * 900), 1.0), Ok(SECOND * 900));
        let error = retry.after(false, Some(SECOND * 901), 1.0).unwrap_err();
        assert_eq!(error, "the server asks to wait for 901 s");
        let mut retry = Retry::new(Duration::ZERO);
        assert!((0..ATTEMPTS - 1).all(|_| retry.after(true, None, 0.5) == Ok(Duration::ZERO)));
        assert!(retry.after(true, None, 0.5).is_err());
    }

    #[test]
    fn a_server_asks_in_seconds_or_with_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (header, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            assert_eq!(retry_after(header, now), seconds.map(Duration::from_secs), "{header}");
        }
    }
}
