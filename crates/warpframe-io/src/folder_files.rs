//! The format of the files behind a name, and which files of a folder have it.

use std::path::Path;

use datafusion::common::{Result, exec_err};
use datafusion::prelude::SessionContext;
use object_store::{GetOptions, GetRange, ObjectStore};

use super::file_type::{DataFormat, Detected, FIRST_BYTES, FileType, detect};
use super::notes::Notes;
use super::store_errors::error_message;
use super::table_location::{TableFile, TableFiles};

/// The number of names that a message shows; it counts the others.
const SHOWN: usize = 3;

/// The type of the files behind a name. Of a folder, the files with the type are kept, and the others become a note. `chosen`
/// is the format that the user has chosen.
///
/// # Errors
/// The type is not known, or not the same for all files, or a folder has no file of a known type.
pub(super) async fn with_file_type(
    context: &SessionContext,
    files: TableFiles,
    chosen: Option<DataFormat>,
) -> Result<(TableFiles, FileType)> {
    match files.is_folder {
        true => of_folder(context, files, chosen),
        false => {
            let file_type = of_files(context, &files, chosen).await?;
            Ok((files, file_type))
        }
    }
}

/// The files of a folder that have one type.
fn of_folder(
    context: &SessionContext,
    mut files: TableFiles,
    chosen: Option<DataFormat>,
) -> Result<(TableFiles, FileType)> {
    let is_chosen = |found: &FileType| chosen.is_none_or(|chosen| chosen.is_read_as(found.format));
    let type_of = |file: &TableFile| FileType::of_path(&file.name).filter(is_chosen);
    let mut found: Vec<(FileType, usize)> = Vec::new();
    for file_type in files.files.iter().filter_map(type_of) {
        match found.iter_mut().find(|(known, _)| known.is_read_as(file_type)) {
            Some((_, count)) => *count += 1,
            None => found.push((file_type, 1)),
        }
    }
    let folder = files.pattern.clone();
    let file_type = match found[..] {
        [(file_type, _)] => file_type,
        [] => {
            let extensions = match chosen {
                Some(format) => format!(".{}", format.extension()),
                None => DataFormat::extensions(),
            };
            return exec_err!(
                "there is no file with the extension {extensions} in the folder '{folder}' or below it"
            );
        }
        _ => {
            let kinds: Vec<_> = found.iter().map(|(kind, count)| format!("{count} .{kind}")).collect();
            let (kind, base) = (found[0].0, folder.trim_end_matches('/'));
            return exec_err!(
                "the folder '{folder}' has files of several formats ({}): choose some by a pattern such as \
                 '{base}/**/*.{kind}'",
                kinds.join(", ")
            );
        }
    };
    let others = files.keep(|file| type_of(file).is_some())?;
    if !others.is_empty() {
        let names: Vec<_> = others.iter().take(SHOWN).map(|file| file.name.display().to_string()).collect();
        let more = if others.len() > SHOWN { ", ..." } else { "" };
        let (count, names) = (others.len(), names.join(", "));
        let what = if count == 1 { "file" } else { "files" };
        Notes::add(
            &context.state(),
            format!("'{folder}' is read as {file_type}, without {count} other {what}: {names}{more}"),
        );
    }
    Ok((files, file_type))
}

/// The type of named files.
async fn of_files(
    context: &SessionContext,
    files: &TableFiles,
    chosen: Option<DataFormat>,
) -> Result<FileType> {
    let Some(first) = files.files.first() else { return exec_err!("no file matches '{}'", files.pattern) };
    let type_of = |path: &Path| match chosen {
        Some(format) => Some(FileType::with_format(format, path)),
        None => FileType::of_path(path),
    };
    let file_type = match type_of(&first.name) {
        Some(known) if FileType::of_path(&first.name).is_some() || !known.format.is_text() => known,
        // The name does not tell whether the file is compressed.
        Some(known) => match first_bytes(context, files, first).await? {
            Detected::Compressed(compression) => FileType { compression, ..known },
            _ => known,
        },
        None => detected(&first.name, first_bytes(context, files, first).await?)?,
    };
    let is_known = |file: &TableFile| FileType::of_path(&file.name).is_some();
    let is_other = |file: &&TableFile| match type_of(&file.name) {
        Some(other) if is_known(file) => !file_type.is_read_as(other),
        // The files whose names do not tell it are taken for what the first one is.
        _ => chosen.is_none() && is_known(first),
    };
    match files.files.iter().find(is_other) {
        None => Ok(file_type),
        Some(other) => exec_err!(
            "'{}' matches files of several kinds: '{}' is {file_type}, and '{}' is not",
            files.pattern,
            first.name.display(),
            other.name.display()
        ),
    }
}

/// What the first bytes of a file say.
async fn first_bytes(context: &SessionContext, files: &TableFiles, file: &TableFile) -> Result<Detected> {
    let length = (FIRST_BYTES as u64).min(file.object.size);
    if length == 0 {
        return Ok(Detected::Unknown);
    }
    let store = context.runtime_env().object_store(&files.store)?;
    let range = GetOptions { range: Some(GetRange::Bounded(0..length)), ..GetOptions::default() };
    let first = match store.get_opts(&file.object.location, range).await {
        Ok(found) => found.bytes().await,
        Err(error) => Err(error),
    };
    match first {
        Ok(first) => Ok(detect(&first)),
        Err(error) => {
            exec_err!("cannot read '{}': {}", file.name.display(), error_message(&error, &files.pattern))
        }
    }
}

/// The type of a file whose name does not tell it.
fn detected(name: &Path, found: Detected) -> Result<FileType> {
    let name = name.display();
    match found {
        Detected::Type(file_type) => Ok(file_type),
        Detected::Compressed(compression) => exec_err!(
            "'{name}' is compressed ({compression}), and its name does not tell what is in it: read it by \
             read_csv('{name}') or read_json('{name}')"
        ),
        Detected::Unknown => exec_err!(
            "'{name}' has none of the extensions {}, and its first bytes are those of no format: read it by \
             read_csv('{name}') or read_json('{name}')",
            DataFormat::extensions()
        ),
    }
}
