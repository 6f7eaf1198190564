//! The same files on a cluster: the executors read them as the session would.

use std::fs;
use std::path::Path;

use tempfile::tempdir;
use warpframe::Session;
use warpframe::cluster::LocalCluster;

use super::common::ok;
use super::query;

#[tokio::test(flavor = "multi_thread")]
async fn executors_read_files_as_the_session_does() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let quoted = (0..2000).map(|id| format!("{id},\"a\n7,7,\"\n"));
    fs::write(at.join("quoted.csv"), format!("id,s\n{}", quoted.collect::<String>())).unwrap();
    let plain = (0..2000).map(|id| format!("{id};'{id};'\n"));
    fs::write(at.join("plain.csv"), format!("id;s\n{}", plain.collect::<String>())).unwrap();
    fs::create_dir_all(at.join("several/m=01")).unwrap();
    for (file, text) in [("a.csv", "id,s,v\n1,,1.5\n2,\"\",2\n"), ("b.csv", "v,id,s\n3.5,3,x\n")] {
        fs::write(at.join("several/m=01").join(file), text).unwrap();
    }
    fs::write(at.join("several/_SUCCESS"), "").unwrap();
    fs::write(at.join("late.csv"), "id,v\n1,1\n2,2\n3,2.5\n").unwrap();
    // What is not in the files themselves: that there is no header, a text for NULL, arrays, and compression.
    fs::write(at.join("bare.csv"), "1|NA\n2|x\n3|\n").unwrap();
    let objects: Vec<_> = (0..2000).map(|id| format!("{{\"id\":{id},\"s\":\"}}\"}}")).collect();
    fs::write(at.join("array.json"), format!("[{}]", objects.join(","))).unwrap();
    fs::write(at.join("lines.ndjson"), objects.join("\n")).unwrap();
    let numbers = "SELECT value AS id FROM generate_series(1, 100)";
    for name in ["n.json.gz", "n.csv.zst", "n.arrows", "n.avro", "n.arrow"] {
        ok(at, &["sql", "--out", name, numbers]);
    }
    let faulty = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/parquet-testing");

    let cluster = LocalCluster::start_in_process(2.try_into().unwrap()).await.unwrap();
    let session = Session::builder().cluster(cluster.settings()).build().unwrap();
    session.sql("SET datafusion.optimizer.repartition_file_min_size = 1").await.unwrap();
    for (name, path) in [("quoted", "quoted.csv"), ("several", "several")] {
        session.register_files(name, &at.join(path).to_string_lossy()).await.unwrap();
    }
    for name in ["repeated_no_annotation", "dict-page-offset-zero"] {
        let file = faulty.join(format!("{name}.parquet"));
        session.register_files(&name.replace('-', "_"), &file.to_string_lossy()).await.unwrap();
    }
    let location = at.display();
    let plain = format!(
        "CREATE EXTERNAL TABLE plain STORED AS CSV LOCATION '{location}/plain.csv' \
         OPTIONS ('format.delimiter' ';', 'format.quote' '''', 'format.has_header' 'true')"
    );
    let late = format!(
        "CREATE EXTERNAL TABLE late STORED AS CSV LOCATION '{location}/late.csv' \
         OPTIONS ('format.schema_infer_max_rec' '2')"
    );
    session.run_script(&format!("{plain}; {late}")).await.unwrap();
    for (text, rows) in [
        ("SELECT count(*), sum(id), sum(id * 2.0) FROM quoted", vec!["2000,1999000,3998000.0"]),
        ("SELECT count(*), sum(id), count(DISTINCT s), max(s) FROM plain", vec!["2000,1999000,2000,9;"]),
        (
            "SELECT id, s IS NULL, length(s), v, m FROM several WHERE m = 1 ORDER BY id",
            vec!["1,true,NULL,1.5,1", "2,false,0,2.0,1", "3,false,1,3.5,1"],
        ),
        ("SELECT count(*), sum(id) FROM repeated_no_annotation", vec!["6,21"]),
        ("SELECT count(l_partkey), sum(l_partkey) FROM dict_page_offset_zero", vec!["39,60528"]),
        (
            "SELECT * FROM read_csv('PLACE/bare.csv', delim => '|', nullstr => 'NA') ORDER BY 1",
            vec!["1,NULL", "2,x", "3,NULL"],
        ),
        ("SELECT count(*), sum(id), max(s) FROM 'PLACE/array.json'", vec!["2000,1999000,}"]),
        ("SELECT count(*), sum(id), max(s) FROM 'PLACE/lines.ndjson'", vec!["2000,1999000,}"]),
        ("SELECT count(*), sum(id) FROM 'PLACE/n.json.gz'", vec!["100,5050"]),
        ("SELECT count(*), sum(id) FROM 'PLACE/n.csv.zst'", vec!["100,5050"]),
        ("SELECT count(*), sum(id) FROM 'PLACE/n.arrow'", vec!["100,5050"]),
    ] {
        let text = &text.replace("PLACE", &location.to_string());
        assert_eq!(query(&session, text).await.unwrap(), rows, "{text}");
    }
    for (name, format) in [("n.avro", "Avro"), ("n.arrows", "the Arrow IPC stream format")] {
        let text = format!("SELECT sum(id) FROM '{location}/{name}'");
        let error = query(&session, &text).await.unwrap_err().find_root().message().into_owned();
        assert!(error.contains(&format!("a cluster does not read {format}")), "{error}");
    }
    let error = query(&session, "SELECT sum(v) FROM late").await.unwrap_err().find_root().to_string();
    assert!(error.contains("late.csv") && error.contains("line 4: the value '2.5'"), "{error}");
    let copy = format!("COPY (SELECT id, s FROM several) TO '{location}/copy.csv'");
    query(&session, &copy).await.unwrap();
    let copied = fs::read_to_string(at.join("copy.csv")).unwrap();
    let mut lines: Vec<_> = copied.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["1,", "2,\"\"", "3,x", "id,s"]);
    let copy = "COPY (SELECT id, nullif(s, '') AS s, CAST('NaN' AS DOUBLE) AS x FROM several WHERE id < 3)";
    for (name, options, nan) in
        [("copy.ndjson", "", "\"NaN\""), ("null.ndjson", "OPTIONS ('format.non_finite' 'null')", "null")]
    {
        query(&session, &format!("{copy} TO '{location}/{name}' {options}")).await.unwrap();
        let copied = fs::read_to_string(at.join(name)).unwrap();
        let mut lines: Vec<_> = copied.lines().collect();
        lines.sort_unstable();
        let line = |id: u32| format!("{{\"id\":{id},\"s\":null,\"x\":{nan}}}");
        assert_eq!(lines, [line(1), line(2)], "{name}");
    }
}
