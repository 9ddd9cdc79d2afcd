import { ContainerRegistryClient } from "@azure/container-registry";
import { DefaultAzureCredential } from "@azure/identity";
const names = [];
const client = new ContainerRegistryClient(process.env.AZURE_CONTAINERREGISTRY_ENDPOINT, new DefaultAzureCredential());
for await (const name of client.listRepositoryNames()) names.push(name);
console.log(JSON.stringify(names));
