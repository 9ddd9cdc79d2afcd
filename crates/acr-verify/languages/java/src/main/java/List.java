import com.azure.containers.containerregistry.ContainerRegistryClientBuilder;
import com.azure.identity.DefaultAzureCredentialBuilder;

public class List {
    public static void main(String[] arguments) {
        var client = new ContainerRegistryClientBuilder()
                .endpoint(System.getenv("AZURE_CONTAINERREGISTRY_ENDPOINT"))
                .credential(new DefaultAzureCredentialBuilder().build())
                .buildClient();
        System.out.println(client.listRepositoryNames().stream().toList());
    }
}
