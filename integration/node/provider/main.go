// Command provider is a credential provider plugin of the kubelet for tests. It reads a CredentialProviderRequest
// (credentialprovider.kubelet.k8s.io/v1) from standard input and writes a CredentialProviderResponse.
//
// Its one argument is a file with the response. It appends the image of each request as a line to the file with the
// same name and the suffix ".asked". If there is no file with the response, it fails, like a plugin whose cloud does
// not answer.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("want one argument, the file with the response, and not %q", arguments)
	}
	var request struct{ Kind, APIVersion, Image string }
	if err := json.NewDecoder(os.Stdin).Decode(&request); err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	const version = "credentialprovider.kubelet.k8s.io/v1"
	if request.Kind != "CredentialProviderRequest" || request.APIVersion != version {
		return fmt.Errorf("this is not a request of %s: %+v", version, request)
	}
	if err := note(arguments[0]+".asked", request.Image); err != nil {
		return err
	}
	response, err := os.Open(arguments[0])
	if err != nil {
		return fmt.Errorf("answering: %w", err)
	}
	defer response.Close()
	_, err = io.Copy(os.Stdout, response)
	return err
}

func note(path, image string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("noting the request: %w", err)
	}
	_, err = fmt.Fprintln(file, image)
	return errors.Join(err, file.Close())
}
