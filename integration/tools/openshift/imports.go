//go:build operator

package main

// What the operator's functions import.
import (
	_ "github.com/containers/image/v5/docker/reference"
	_ "github.com/containers/image/v5/signature"
	_ "github.com/openshift/api/config/v1"
	_ "github.com/openshift/api/operator/v1alpha1"
	_ "github.com/openshift/runtime-utils/pkg/registries"
	_ "k8s.io/apimachinery/pkg/apis/meta/v1"
	_ "k8s.io/klog/v2"
)
