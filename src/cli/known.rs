//! `rebeam image ls` and `rebeam image history`.

use std::path::Path;

use serde_json::{Value, json};

use super::Common;
use crate::disk;
use crate::explain::Failure;
use crate::image::{self, KnownImage};
use crate::terminal::{self, Mode, Reasons};

/// Digits of an id that people compare.
const SHORT: usize = 12;

/// Lists the images of the store, and the image files of the project.
pub(super) fn list(common: &Common) -> Result<u8, Failure> {
    let store = common.open_store(&common.screen(Reasons::Summed))?;
    let known = image::known(&store)?;
    let files = files(&common.project)?;
    let place = |known: &KnownImage| {
        let is_it = |(_, id): &&(String, String)| *id == known.image_id.to_string();
        files.iter().find(is_it).map_or_else(|| "store".to_owned(), |(file, _)| file.clone())
    };
    if common.mode() == Mode::Json {
        let one = |image: &KnownImage| {
            json!({ "name": image.name, "version": image.version, "image_id": image.image_id,
                    "manifest": image.manifest, "created": image.created,
                    "packed_bytes": image.packed_bytes, "at": place(image) })
        };
        terminal::data(&Value::Array(known.iter().map(one).collect()).to_string());
        return Ok(0);
    }
    let mut rows =
        vec![["image", "id", "manifest", "created", "packed", "at"].map(str::to_owned).to_vec()];
    for image in &known {
        rows.push(vec![
            format!("{}:{}", image.name, image.version),
            image.image_id.hex()[..SHORT].to_owned(),
            image.manifest.hex()[..SHORT].to_owned(),
            image.created.clone(),
            terminal::bytes(image.packed_bytes),
            place(image),
        ]);
    }
    terminal::data(&terminal::table(&rows));
    Ok(0)
}

/// The image files at the top of a project, with their ids; what is none is passed over.
fn files(project: &Path) -> Result<Vec<(String, String)>, Failure> {
    let mut files = Vec::new();
    for name in disk::list(project)?.into_iter().filter(|name| name.ends_with(b".tar")) {
        let name = String::from_utf8_lossy(&name).into_owned();
        if let Ok(id) = image::image_id(&project.join(&name)) {
            files.push((name, id.to_string()));
        }
    }
    Ok(files)
}

/// Tells how an image came to be, layer by layer, the newest first as `docker history` does.
pub(super) fn history(common: &Common, file: &Path) -> Result<u8, Failure> {
    let image = image::inspect(file)?;
    let created = image.created.clone().unwrap_or_default();
    if common.mode() == Mode::Json {
        let one = |layer: &image::InspectedLayer| {
            json!({ "created": created, "created_by": layer.made_by, "digest": layer.digest,
                    "diff_id": layer.diff_id, "bytes": layer.bytes, "unpacked_bytes": layer.tar_bytes })
        };
        let layers = image.layers.iter().rev().map(one);
        terminal::data(&Value::Array(layers.collect()).to_string());
        return Ok(0);
    }
    let mut rows =
        vec![["layer", "created", "created by", "packed", "unpacked"].map(str::to_owned).to_vec()];
    for layer in image.layers.iter().rev() {
        rows.push(vec![
            layer.digest.hex()[..SHORT].to_owned(),
            created.clone(),
            layer.made_by.clone(),
            terminal::bytes(layer.bytes),
            terminal::bytes(layer.tar_bytes),
        ]);
    }
    terminal::data(&terminal::table(&rows));
    Ok(0)
}
