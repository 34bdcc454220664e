//! Requests and responses as the routes see them. Does not know what is served.

mod conditional;
mod file;
pub(super) mod guard;
mod query;
mod refusal;
mod request;
mod response;

pub(super) use conditional::finish;
pub(super) use file::FileResponse;
pub(super) use query::Query;
pub(super) use refusal::{Answer, Refusal};
pub(super) use request::{BodyStream, Request};
pub(super) use response::{Body, Response};
