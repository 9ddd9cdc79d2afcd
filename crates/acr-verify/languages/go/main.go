package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/containers/azcontainerregistry"
)

func main() {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	client, err := azcontainerregistry.NewClient(os.Getenv("AZURE_CONTAINERREGISTRY_ENDPOINT"), credential, nil)
	if err != nil {
		log.Fatal(err)
	}
	names := []string{}
	for pager := client.NewListRepositoriesPager(nil); pager.More(); {
		page, err := pager.NextPage(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		for _, name := range page.Names {
			names = append(names, *name)
		}
	}
	fmt.Println(names)
}
