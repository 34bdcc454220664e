//! Decides how long to wait before a retry, and when to give up.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime};

/// Maximum number of consecutive attempts that fetch nothing new.
const MAX_FRUITLESS: u32 = 5;
/// Maximum number of attempts in total.
const MAX_ATTEMPTS: u32 = 200;

/// Upper bound on the exponential backoff.
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// Upper bound on the wait that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// State of the attempts at one transfer.
#[derive(Debug)]
pub(crate) struct Retry {
    first: Duration,
    wait: Duration,
    fruitless: u32,
    attempts: u32,
}

impl Retry {
    /// Starts with a wait of `first` after an attempt that fetches nothing; it doubles with each.
    pub(crate) fn new(first: Duration) -> Retry {
        Retry { first, wait: first, fruitless: 0, attempts: 0 }
    }

    /// Returns the wait after a failed attempt.
    ///
    /// `asked` is the wait that the server asks for. `jitter` is from 0 to 1 and spreads out
    /// clients that failed at the same time.
    ///
    /// # Errors
    /// The reason to give up.
    pub(crate) fn after(
        &mut self,
        progressed: bool,
        asked: Option<Duration>,
        jitter: f64,
    ) -> Result<Duration, String> {
        self.attempts += 1;
        if let Some(asked) = asked.filter(|asked| *asked > MAX_RETRY_AFTER) {
            return Err(format!("the server asks to wait for {} s", asked.as_secs()));
        }
        if self.attempts == MAX_ATTEMPTS {
            return Err(format!("it was interrupted {MAX_ATTEMPTS} times"));
        }
        if progressed {
            (self.fruitless, self.wait) = (0, self.first);
            return Ok(asked.unwrap_or_default());
        }
        self.fruitless += 1;
        if self.fruitless == MAX_FRUITLESS {
            return Err(format!("{MAX_FRUITLESS} consecutive attempts failed"));
        }
        let own = self.wait.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        self.wait = (self.wait * 2).min(MAX_BACKOFF);
        Ok(asked.unwrap_or_default().max(own))
    }
}

/// Returns a random number from 0 to 1.
pub(crate) fn jitter() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

/// Parses a `Retry-After` header: seconds, or a date.
pub(crate) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // A date in the past means no wait.
    Some(httpdate::parse_http_date(header).ok()?.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn backoff_doubles_and_resets() {
        let mut retry = Retry::new(SECOND);
        let mut after = |progressed, asked, jitter| retry.after(progressed, asked, jitter);
        assert_eq!(after(false, None, 1.0), Ok(SECOND));
        assert_eq!(after(false, None, 0.0), Ok(SECOND));
        assert_eq!(after(false, None, 1.0), Ok(SECOND * 4));
        assert_eq!(after(true, None, 1.0), Ok(Duration::ZERO));
        assert_eq!(after(false, None, 1.0), Ok(SECOND));
        assert_eq!(after(false, Some(SECOND * 30), 1.0), Ok(SECOND * 30));
        assert_eq!(after(false, Some(SECOND), 1.0), Ok(SECOND * 4));
        assert_eq!(after(false, None, 1.0), Ok(SECOND * 8));
        assert_eq!(after(false, None, 1.0), Err("5 consecutive attempts failed".to_owned()));
    }

    #[test]
    fn wait_limits() {
        let mut retry = Retry::new(SECOND * 50);
        assert_eq!(retry.after(false, None, 1.0), Ok(SECOND * 50));
        assert_eq!(retry.after(false, None, 1.0), Ok(SECOND * 60));
        assert_eq!(retry.after(false, Some(SECOND * 900), 1.0), Ok(SECOND * 900));
        let error = retry.after(false, Some(SECOND * 901), 1.0).unwrap_err();
        assert_eq!(error, "the server asks to wait for 901 s");
        let mut retry = Retry::new(Duration::ZERO);
        assert!((0..MAX_ATTEMPTS - 1).all(|_| retry.after(true, None, 0.5) == Ok(Duration::ZERO)));
        assert!(retry.after(true, None, 0.5).is_err());
    }

    #[test]
    fn parses_retry_after() {
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
