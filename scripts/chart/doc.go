// Package chart tests the Helm chart in conf/chart and the kustomize base in conf/kustomize.
package chart
