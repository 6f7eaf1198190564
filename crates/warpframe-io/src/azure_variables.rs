//! The environment variables of Azure's own tools, which `object_store` does not read.

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

/// The domain of the public cloud, which `object_store` uses without an endpoint.
const PUBLIC_CLOUD: &str = "core.windows.net";

/// Adds what `AZURE_STORAGE_CONNECTION_STRING`, and then `AZURE_STORAGE_ACCOUNT` and `AZURE_STORAGE_KEY`, say. Settings that the
/// builder has already stay.
pub(super) fn with_azure_variables(builder: MicrosoftAzureBuilder) -> MicrosoftAzureBuilder {
    with_variables(builder, |name| std::env::var(name).ok())
}

fn with_variables(
    mut builder: MicrosoftAzureBuilder,
    variable: impl Fn(&str) -> Option<String>,
) -> MicrosoftAzureBuilder {
    // The parts of a connection string belong together: with another account they would be wrong.
    let has_account = builder.get_config_value(&AzureConfigKey::AccountName).is_some();
    let text = variable("AZURE_STORAGE_CONNECTION_STRING").filter(|_| !has_account);
    let mut settings = text.map(|text| connection(&text)).unwrap_or_default();
    let others = [
        (AzureConfigKey::AccountName, "AZURE_STORAGE_ACCOUNT"),
        (AzureConfigKey::AccessKey, "AZURE_STORAGE_KEY"),
    ];
    settings.extend(others.into_iter().filter_map(|(key, name)| Some((key, variable(name)?))));
    for (key, value) in settings {
        let known = builder.get_config_value(&key);
        // Flags have a value also if nobody has set them.
        if known.is_none_or(|known| known.is_empty() || known == "false") {
            builder = builder.with_config(key, value);
        }
    }
    builder
}

/// The settings of a connection string, such as `AccountName=a;AccountKey=k;EndpointSuffix=core.windows.net`.
fn connection(text: &str) -> Vec<(AzureConfigKey, String)> {
    let parts = || text.split(';').filter_map(|part| part.split_once('='));
    let value = |name: &str| {
        let mut found = parts().filter(|(found, _)| found.trim().eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim().to_owned())
    };
    let mut settings = Vec::new();
    if value("UseDevelopmentStorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        settings.push((AzureConfigKey::UseEmulator, "true".to_owned()));
    }
    for (name, key) in [
        ("AccountName", AzureConfigKey::AccountName),
        ("AccountKey", AzureConfigKey::AccessKey),
        ("SharedAccessSignature", AzureConfigKey::SasKey),
        ("BlobEndpoint", AzureConfigKey::Endpoint),
    ] {
        settings.extend(value(name).map(|value| (key, value)));
    }
    let suffix = value("EndpointSuffix").filter(|suffix| suffix != PUBLIC_CLOUD);
    if let (Some(account), Some(suffix), None) = (value("AccountName"), suffix, value("BlobEndpoint")) {
        let scheme = value("DefaultEndpointsProtocol").unwrap_or_else(|| "https".to_owned());
        settings.push((AzureConfigKey::Endpoint, format!("{scheme}://{account}.blob.{suffix}")));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> [Option<String>; 4] {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let set = MicrosoftAzureBuilder::new().with_account("set");
        let builder = if variables.is_empty() { set } else { MicrosoftAzureBuilder::new() };
        let builder = with_variables(builder, variable);
        [
            AzureConfigKey::AccountName,
            AzureConfigKey::AccessKey,
            AzureConfigKey::SasKey,
            AzureConfigKey::Endpoint,
        ]
        .map(|key| builder.get_config_value(&key))
    }

    #[test]
    fn variables_of_azure_are_settings_of_the_store() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(settings(&[]), [text("set"), None, None, None]);
        let pair = [("AZURE_STORAGE_ACCOUNT", "a"), ("AZURE_STORAGE_KEY", "k==")];
        assert_eq!(settings(&pair), [text("a"), text("k=="), None, None]);
        let connection = |text| settings(&[("AZURE_STORAGE_CONNECTION_STRING", text), pair[0]]);
        assert_eq!(
            connection(
                "DefaultEndpointsProtocol=https;AccountName=b;AccountKey=x==;EndpointSuffix=core.windows.net"
            ),
            [text("b"), text("x=="), None, None]
        );
        assert_eq!(
            connection("AccountName=b;AccountKey=x;EndpointSuffix=core.chinacloudapi.cn"),
            [text("b"), text("x"), None, text("https://b.blob.core.chinacloudapi.cn")]
        );
        assert_eq!(
            connection("BlobEndpoint=http://h:1/b;SharedAccessSignature=sv=1&sig=2"),
            [text("a"), None, text("sv=1&sig=2"), text("http://h:1/b")]
        );
        let emulator = with_variables(MicrosoftAzureBuilder::new(), |_| text("UseDevelopmentStorage=true"));
        assert_eq!(emulator.get_config_value(&AzureConfigKey::UseEmulator), text("true"));
    }
}
