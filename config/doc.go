// Package config turns the environment into one validated [Config].
package config
