"""Accounts that belong to people, in a database file that several connections share."""

from django.db import models


class Person(models.Model):
    name = models.CharField(max_length=50)
    friends = models.ManyToManyField("self", blank=True)


class Account(models.Model):
    balance = models.IntegerField(default=0)
    owner = models.ForeignKey(Person, models.CASCADE, null=True)


class Savings(Account):
    rate = models.IntegerField(default=1)
