//! Datasets and logged models that runs used and made.

use hyper::Method;
use serde_json::{Value, json};

use super::error::{invalid, missing};
use super::keys::check_length;
use super::target::Target;
use super::wire::Message;
use crate::runs::DatasetInput;
use crate::serve::http::{Answer, Refusal, Request, Response};
use crate::serve::state::State;

const LONGEST_NAME: usize = 500;
const LONGEST_DIGEST: usize = 36;
const LONGEST_SOURCE: usize = 65_535;
const LONGEST_TAG_KEY: usize = 255;
const LONGEST_TAG_VALUE: usize = 500;

/// The tag with the models that a run logged by `runs/log-model`.
const MODELS: &str = "mlflow.log-model.history";
/// The fields of a model that such a request must have.
const MODEL_FIELDS: [&str; 4] = ["artifact_path", "flavors", "run_id", "utc_time_created"];

/// Answers requests below `runs` about what a run used and made.
pub(super) async fn route(state: &State, request: &Request, action: &str) -> Option<Answer> {
    Some(match (&request.method, action) {
        (&Method::POST, "log-inputs") => log_inputs(state, request).await,
        (&Method::POST, "outputs") => log_outputs(state, request).await,
        (&Method::POST, "log-model") => log_model(state, request).await,
        _ => return None,
    })
}

async fn log_inputs(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let target = Target::of(request, message.required("run_id")?)?;
    let datasets = message.messages("datasets")?;
    let datasets = datasets.iter().map(dataset).collect::<Result<Vec<_>, _>>()?;
    let models = message.messages("models")?;
    let models = models.iter().map(|one| one.required("model_id").map(str::to_owned));
    let models = models.collect::<Result<Vec<_>, _>>()?;
    state
        .write(move |store| {
            let run = target.find_active(store)?;
            store.log_datasets(run, &datasets)?;
            store.log_model_inputs(run, &models)?;
            Ok::<_, Refusal>(Response::json(&json!({})))
        })
        .await
}

fn dataset(input: &Message) -> Result<DatasetInput, Refusal> {
    let dataset = input.message("dataset")?.ok_or_else(|| missing(&input.path("dataset")))?;
    let text = |name: &str, longest: usize| {
        let text = dataset.required(name)?;
        check_length(&dataset.path(name), text, longest)?;
        Ok::<_, Refusal>(text.to_owned())
    };
    let tags = input.pairs("tags")?;
    for (at, (key, value)) in tags.iter().enumerate() {
        let path = input.path(&format!("tags[{at}]"));
        check_length(&format!("{path}.key"), key, LONGEST_TAG_KEY)?;
        check_length(&format!("{path}.value"), value, LONGEST_TAG_VALUE)?;
    }
    Ok(DatasetInput {
        name: text("name", LONGEST_NAME)?,
        digest: text("digest", LONGEST_DIGEST)?,
        source_type: text("source_type", LONGEST_NAME)?,
        source: text("source", LONGEST_SOURCE)?,
        schema: dataset.given("schema")?.map(str::to_owned),
        profile: dataset.given("profile")?.map(str::to_owned),
        tags,
    })
}

/// Adds a model to the list that older clients keep in a tag of the run.
async fn log_model(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let target = Target::of(request, message.required("run_id")?)?;
    let text = message.required("model_json")?;
    let Ok(Value::Object(model)) = serde_json::from_str(text) else {
        let shown = text.escape_debug();
        let message = format!("Malformed model info. \n {shown} \n is not a valid JSON.");
        return Err(Refusal::invalid(message));
    };
    let lacking = MODEL_FIELDS.into_iter().filter(|field| !model.contains_key(*field));
    let lacking: Vec<String> = lacking.map(|field| format!("'{field}'")).collect();
    if !lacking.is_empty() {
        let lacking = lacking.join(", ");
        let message = format!("Model json is missing mandatory fields: {{{lacking}}}");
        return Err(Refusal::invalid(message));
    }
    let kept = model
        .into_iter()
        .filter(|(key, _)| MODEL_FIELDS.contains(&key.as_str()) || key == "model_uuid");
    let model = Value::Object(kept.collect());
    state
        .write(move |store| {
            let run = target.find_active(store)?;
            let tags = store.tags(run)?;
            let old = tags.get(&target.stage.name_of(MODELS)).map(String::as_str);
            let mut models: Vec<Value> =
                serde_json::from_str(old.unwrap_or("[]")).unwrap_or_default();
            // A client that got no answer sends it again.
            if !models.contains(&model) {
                models.push(model);
                let text = Value::from(models).to_string();
                store.set_client_tag(run, &target.stage, MODELS, &text)?;
            }
            Ok::<_, Refusal>(Response::json(&json!({})))
        })
        .await
}

async fn log_outputs(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let target = Target::of(request, message.required("run_id")?)?;
    let models = message.messages("models")?;
    if models.is_empty() {
        return Err(missing("models"));
    }
    let output = |one: &Message| {
        let step = one.int("step")?.unwrap_or(0);
        if step < 0 {
            return Err(invalid(&one.path("step"), &Value::from(step), "It is at least 0."));
        }
        Ok((one.required("model_id")?.to_owned(), step))
    };
    let models = models.iter().map(output).collect::<Result<Vec<_>, _>>()?;
    state
        .write(move |store| {
            store.log_model_outputs(target.find_active(store)?, &models)?;
            Ok::<_, Refusal>(Response::json(&json!({})))
        })
        .await
}
