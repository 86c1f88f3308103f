"""Bytes of videos that are elsewhere: web servers, object stores, and only the ranges needed."""
