//! Route: which request means what.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::bulk;
use super::cursor::Cursor;
use super::docs::{self, Action, Target};
use super::error::Error;
use super::find::Search;
use super::indices;
use super::names::Names;
use super::query::cut;
use super::request::{Answer, Body, Request, json as read_json};
use super::source::Shown;
use crate::dev::events::log::{Log, setting};

/// Searches of one `_msearch`.
const SEARCHES_MAX: usize = 200;
/// The version that clients are told; those of 8 and 9 speak with it.
const VERSION: &str = "8.19.0";

/// Where requests are answered: one who writes, and a connection to read.
pub(super) struct Desk<'a> {
    pub(super) log: &'a Log,
    pub(super) database: &'a Connection,
}

impl Desk<'_> {
    /// Answers a request.
    pub(super) fn answer(&self, request: &Request) -> Result<Answer, Error> {
        let parts = request.parts();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let method = request.method.as_str();
        match (method, parts.as_slice()) {
            ("GET" | "HEAD", []) => self.root(),
            ("GET" | "HEAD", ["_cluster", "health", ..]) => Ok(Answer::json(health())),
            ("GET", ["_cat", "indices"]) => {
                indices::cat(self.database, &all(request, "")?, request)
            }
            ("GET", ["_cat", "indices", names]) => {
                indices::cat(self.database, &all(request, names)?, request)
            }
            ("PUT" | "POST", ["_bulk"]) => self.bulk(request, None, None),
            ("GET" | "POST", ["_msearch"]) => self.searches(request, ""),
            ("GET" | "POST", ["_search", "scroll", id @ ..]) => {
                self.scroll(request, id.first().copied())
            }
            ("DELETE", ["_search", "scroll", ..] | ["_pit"]) => {
                Ok(Answer::json(json!({"succeeded": true, "num_freed": 1})))
            }
            ("DELETE", ["_search", "point_in_time", ..]) => Ok(Answer::json(json!({"pits": []}))),
            ("GET" | "POST", ["_search"]) => self.search(request, ""),
            ("GET" | "POST", ["_count"]) => self.count(request, ""),
            ("GET" | "POST", ["_refresh" | "_flush"]) => Ok(Answer::json(shards())),
            ("GET", ["_mapping"]) => {
                Ok(Answer::json(indices::mappings(self.database, &all(request, "")?)?))
            }
            (_, [kind @ ("_index_template" | "_template"), name @ ..]) if name.len() < 2 => {
                self.template(request, kind, name.first().copied())
            }
            (_, [index, rest @ ..]) if !index.starts_with('_') || *index == "_all" => {
                self.index(request, index, rest)
            }
            _ => Err(unhandled(request)),
        }
    }

    /// Answers a request about an index, or a list of them.
    fn index(&self, request: &Request, index: &str, rest: &[&str]) -> Result<Answer, Error> {
        let names = || all(request, index);
        let is_lenient = request.flag("ignore_unavailable");
        match (request.method.as_str(), rest) {
            ("PUT", []) => Ok(Answer::json(indices::create(self.log, index, request)?)),
            ("DELETE", []) => Ok(Answer::json(indices::remove(self.log, &names()?, is_lenient)?)),
            ("HEAD", []) => {
                let names = names()?;
                let is_there = indices::have_all(self.database, &names, false).is_ok();
                Ok(Answer::is(is_there))
            }
            ("GET", []) => {
                indices::have_all(self.database, &names()?, is_lenient)?;
                Ok(Answer::json(indices::describe(self.database, &names()?)?))
            }
            ("GET", ["_mapping" | "_mappings"]) => {
                indices::have_all(self.database, &names()?, is_lenient)?;
                Ok(Answer::json(indices::mappings(self.database, &names()?)?))
            }
            ("PUT" | "POST", ["_mapping" | "_mappings", ..]) => {
                Ok(Answer::json(indices::put_mapping(self.log, &names()?, request)?))
            }
            ("GET" | "POST", ["_refresh" | "_flush"]) => Ok(Answer::json(shards())),
            ("PUT" | "POST", ["_bulk"]) => self.bulk(request, Some(index), None),
            ("PUT" | "POST", [kind, "_bulk"]) => self.bulk(request, Some(index), Some(kind)),
            ("GET" | "POST", ["_search"]) => self.search(request, index),
            ("GET" | "POST", [_, "_search"]) => self.search(request, index),
            ("GET" | "POST", ["_count"] | [_, "_count"]) => self.count(request, index),
            ("GET" | "POST", ["_msearch"]) => self.searches(request, index),
            ("POST", ["_pit"]) => self.point(request, index, "id"),
            ("POST", ["_search", "point_in_time"]) => self.point(request, index, "pit_id"),
            ("PUT" | "POST", ["_create", id]) => {
                self.document(request, Action::Create, target(index, None, Some(id)))
            }
            ("POST", ["_update", id]) => {
                self.document(request, Action::Update, target(index, None, Some(id)))
            }
            ("GET", ["_source", id]) => self.source(target(index, None, Some(id))),
            (_, ["_doc", id @ ..]) if id.len() < 2 => {
                self.named(request, target(index, None, id.first().copied()))
            }
            // The paths of the time when documents had types.
            (_, [kind, id @ ..]) if id.len() < 2 && !kind.starts_with('_') => {
                self.named(request, target(index, Some(kind), id.first().copied()))
            }
            _ => Err(unhandled(request)),
        }
    }

    fn named(&self, request: &Request, target: Target) -> Result<Answer, Error> {
        match (request.method.as_str(), &target.id) {
            ("PUT", Some(_)) | ("POST", _) => {
                let is_create = request.option("op_type") == Some("create");
                self.document(
                    request,
                    if is_create { Action::Create } else { Action::Index },
                    target,
                )
            }
            ("DELETE", Some(_)) => self.document(request, Action::Delete, target),
            ("HEAD", Some(_)) => Ok(Answer::is(docs::get(self.database, &target)?.is_some())),
            ("GET", Some(_)) => {
                if !indices::exists(self.database, &target.index)? {
                    return Err(Error::no_index(cut(&target.index)));
                }
                match docs::get(self.database, &target)? {
                    Some(found) => {
                        let shown = Shown::read(None, request)?.apply(&found.source);
                        Ok(Answer::json(found.lay_out(&target, shown)))
                    }
                    None => {
                        let body =
                            json!({"_index": target.index, "_id": target.id, "found": false});
                        Ok(Answer { status: 404, body: Body::Json(body) })
                    }
                }
            }
            _ => Err(unhandled(request)),
        }
    }

    fn source(&self, target: Target) -> Result<Answer, Error> {
        let found = docs::get(self.database, &target)?;
        let found = found
            .ok_or_else(|| Error::new(404, "resource_not_found_exception", "Document not found"))?;
        Ok(Answer::json(Shown::default().apply(&found.source).unwrap_or_default()))
    }

    fn document(&self, request: &Request, action: Action, target: Target) -> Result<Answer, Error> {
        let body = match action {
            Action::Delete => None,
            _ if request.body.is_empty() => return Err(Error::parsing("request body is required")),
            _ => Some(request.json()?),
        };
        let told = self.log.write(|transaction| {
            docs::change(transaction, &target, action, body, request.now_ms)
        })?;
        let mut body = told?;
        let status =
            body["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
        if let Some(body) = body.as_object_mut() {
            body.remove("status");
        }
        Ok(Answer { status, body: Body::Json(body) })
    }

    fn bulk(
        &self,
        request: &Request,
        index: Option<&str>,
        kind: Option<&str>,
    ) -> Result<Answer, Error> {
        let items = bulk::read(&request.body, index, kind)?;
        Ok(Answer::json(bulk::run(self.log, items, request.now_ms)?))
    }

    fn search(&self, request: &Request, index: &str) -> Result<Answer, Error> {
        let body = request.json()?;
        let pit = body["pit"]["id"].as_str().map(str::to_owned);
        if request.option("scroll").is_some() {
            let mut cursor = Cursor::new(index.to_owned(), self.newest()?, request.now_ms);
            let options: Value = request
                .options
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().into()))
                .collect::<serde_json::Map<_, _>>()
                .into();
            cursor.search = json!({"body": body, "options": options});
            return self.page(cursor);
        }
        let names = all(request, index)?;
        if pit.is_none() {
            indices::have_all(self.database, &names, request.flag("ignore_unavailable"))?;
        }
        let (mut answer, _) = Search::read(names, request, &body)?.run(self.database)?;
        if let Some(pit) = pit {
            answer["pit_id"] = pit.into();
        }
        Ok(Answer::json(answer))
    }

    /// Goes on with a scroll.
    fn scroll(&self, request: &Request, id: Option<&str>) -> Result<Answer, Error> {
        let body = request.json().unwrap_or_default();
        let id = body["scroll_id"].as_str().or(id).or(request.option("scroll_id"));
        self.page(Cursor::read(id.unwrap_or_default())?)
    }

    fn page(&self, mut cursor: Cursor) -> Result<Answer, Error> {
        let options = cursor.search["options"].as_object().into_iter().flatten();
        let options =
            options.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        let request =
            Request { options: options.collect(), now_ms: cursor.now_ms, ..Request::default() };
        let names = all(&request, &cursor.names)?;
        indices::have_all(self.database, &names, request.flag("ignore_unavailable"))?;
        let mut search = Search::read(names, &request, &cursor.search["body"])?;
        search.newest = Some(cursor.newest);
        search.after = cursor.after()?;
        if cursor.has_ended {
            search.size = 0;
        }
        let (mut answer, last) = search.run(self.database)?;
        cursor.go_on(last.as_deref());
        answer["_scroll_id"] = cursor.id().into();
        Ok(Answer::json(answer))
    }

    fn point(&self, request: &Request, index: &str, name: &str) -> Result<Answer, Error> {
        indices::have_all(
            self.database,
            &all(request, index)?,
            request.flag("ignore_unavailable"),
        )?;
        let id = Cursor::new(index.to_owned(), self.newest()?, request.now_ms).id();
        Ok(Answer::json(
            json!({name: id, "_shards": shards()["_shards"], "creation_time": request.now_ms}),
        ))
    }

    fn newest(&self) -> Result<i64, Error> {
        Ok(setting(self.database, "next")? - 1)
    }

    fn count(&self, request: &Request, index: &str) -> Result<Answer, Error> {
        let names = all(request, index)?;
        indices::have_all(self.database, &names, request.flag("ignore_unavailable"))?;
        let count = Search::read(names, request, &request.json()?)?.count(self.database)?;
        Ok(Answer::json(json!({"count": count, "_shards": shards()["_shards"]})))
    }

    /// Answers many searches; each has an answer of its own, be it an error.
    fn searches(&self, request: &Request, index: &str) -> Result<Answer, Error> {
        let lines: Vec<&[u8]> = request.body.split(|byte| *byte == b'\n').collect();
        let lines = lines.strip_suffix(&[&b""[..]]).unwrap_or(&lines);
        if lines.len() > SEARCHES_MAX * 2 {
            return Err(Error::illegal(format!(
                "more than [{SEARCHES_MAX}] searches in one request"
            )));
        }
        let mut responses = Vec::new();
        for pair in lines.chunks(2) {
            let [header, body] = pair else {
                return Err(Error::illegal(
                    "a search has a line for its header and one for its body",
                ));
            };
            let response =
                self.one_of(request, index, header, body).unwrap_or_else(|error| error.body());
            responses.push(response);
        }
        Ok(Answer::json(json!({"took": 0, "responses": responses})))
    }

    fn one_of(
        &self,
        request: &Request,
        index: &str,
        header: &[u8],
        body: &[u8],
    ) -> Result<Value, Error> {
        let header =
            if header.iter().all(u8::is_ascii_whitespace) { json!({}) } else { read_json(header)? };
        let named = match &header["index"] {
            Value::String(text) => text.clone(),
            Value::Array(items) => {
                items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
            }
            _ => index.to_owned(),
        };
        let names = all(request, &named)?;
        let is_lenient =
            header["ignore_unavailable"] == true || header["ignoreUnavailable"] == true;
        indices::have_all(self.database, &names, is_lenient)?;
        let (mut response, _) =
            Search::read(names, request, &read_json(body)?)?.run(self.database)?;
        response["status"] = 200.into();
        Ok(response)
    }

    fn template(&self, request: &Request, kind: &str, name: Option<&str>) -> Result<Answer, Error> {
        let names = || all(request, name.unwrap_or_default());
        match (request.method.as_str(), name) {
            ("PUT" | "POST", Some(name)) => {
                Ok(Answer::json(indices::put_template(self.log, kind, name, request)?))
            }
            ("DELETE", Some(name)) => {
                Ok(Answer::json(indices::remove_template(self.log, kind, name)?))
            }
            ("HEAD", Some(_)) => {
                Ok(Answer::is(!indices::templates(self.database, kind, &names()?)?.is_empty()))
            }
            ("GET", name) => {
                let templates = indices::templates(self.database, kind, &names()?)?;
                if let (true, Some(name)) =
                    (templates.is_empty(), name.filter(|name| !name.contains('*')))
                {
                    let reason = format!("index template matching [{}] not found", cut(name));
                    return Err(Error::new(404, "resource_not_found_exception", reason));
                }
                Ok(Answer::json(indices::lay_out(kind, templates)))
            }
            _ => Err(unhandled(request)),
        }
    }

    fn root(&self) -> Result<Answer, Error> {
        let sql = "select value from setting where name = 'log'";
        let uuid: String = self.database.query_row(sql, [], |row| row.get(0))?;
        Ok(Answer::json(json!({
            "name": "rebeam",
            "cluster_name": "rebeam",
            "cluster_uuid": uuid,
            "version": {
                "number": VERSION, "build_flavor": "default", "build_type": "rebeam", "build_hash": "unknown",
                "build_date": "1970-01-01T00:00:00.000Z", "build_snapshot": false, "lucene_version": "9.12.1",
                "minimum_wire_compatibility_version": "7.17.0", "minimum_index_compatibility_version": "7.0.0",
            },
            "tagline": "You Know, for Search",
        })))
    }
}

fn all(request: &Request, names: &str) -> Result<Names, Error> {
    Names::read(names, request.now_ms)
}

fn target(index: &str, kind: Option<&str>, id: Option<&str>) -> Target {
    Target { index: index.to_owned(), kind: kind.map(str::to_owned), id: id.map(str::to_owned) }
}

fn shards() -> Value {
    json!({"_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0}})
}

fn health() -> Value {
    json!({
        "cluster_name": "rebeam", "status": "green", "timed_out": false, "number_of_nodes": 1,
        "number_of_data_nodes": 1, "active_primary_shards": 1, "active_shards": 1, "relocating_shards": 0,
        "initializing_shards": 0, "unassigned_shards": 0, "delayed_unassigned_shards": 0,
        "number_of_pending_tasks": 0, "number_of_in_flight_fetch": 0,
        "task_max_waiting_in_queue_millis": 0, "active_shards_percent_as_number": 100.0,
    })
}

fn unhandled(request: &Request) -> Error {
    let Request { method, path, .. } = request;
    let reason = format!("no handler found for uri [{}] and method [{method}]", cut(path));
    Error::new(400, "illegal_argument_exception", reason)
}
