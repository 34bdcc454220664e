//! Browsers that the tests share. Each starts a second late and takes a core, so there are few.

use std::sync::{Condvar, Mutex};
use std::thread;

use crate::connection::Connection;

/// More would only wait for each other on a small machine.
const MOST: usize = 2;

struct Pool {
    idle: Vec<Connection>,
    lent: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { idle: Vec::new(), lent: 0 });
static RETURNED: Condvar = Condvar::new();

/// A browser for one test. It returns to the others when dropped, unless the test failed.
pub struct Browser {
    connection: Option<Connection>,
}

impl Browser {
    /// Waits for a browser that no test uses; `None` if there is none on this machine.
    pub fn borrow() -> Option<Browser> {
        let pool = POOL.lock().unwrap();
        let mut pool = RETURNED.wait_while(pool, |pool| pool.lent == MOST).unwrap();
        pool.lent += 1;
        let mut browser = Browser { connection: pool.idle.pop() };
        drop(pool);
        if browser.connection.is_none() {
            browser.connection = Some(Connection::start()?);
        }
        Some(browser)
    }

    pub fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let connection = self.connection.take().filter(|_| !thread::panicking());
        let mut pool = POOL.lock().unwrap();
        pool.lent -= 1;
        pool.idle.extend(connection);
        RETURNED.notify_one();
    }
}
