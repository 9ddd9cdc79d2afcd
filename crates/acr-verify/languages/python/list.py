from azure.identity import DefaultAzureCredential as D
from azure.containerregistry import ContainerRegistryClient as C
import os
print(list(C(os.environ["AZURE_CONTAINERREGISTRY_ENDPOINT"], D()).list_repository_names()))
